package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc"
)

// instance is one run of a plugin: a child process with its connection, or the in-process plugin.
type instance struct {
	plugin  backend.Plugin
	info    backend.Info
	started time.Time
	served  atomic.Bool // it has answered a call

	life context.Context // ends when others are called in its place
	end  context.CancelFunc

	// Of Plugin, whose mutex guards them.
	calls int           // under way
	idle  chan struct{} // non-nil while somebody waits for calls to become 0; then closed

	link *link // to a plugin that the operator runs, else nil

	// The rest is nil for both, but for exited, which is the link's, or never closes for an in-process plugin.
	proc      *process
	client    *plugin.Client
	socketDir string
	exited    <-chan struct{}
}

// newInstance starts the plugin and asks for its Info. It does not configure it.
func (h *Host) newInstance(ctx context.Context, c Config, log *slog.Logger) (*instance, error) {
	i := &instance{}
	i.life, i.end = context.WithCancel(context.Background())
	if c.Inproc != nil {
		i.plugin = c.Inproc()
		i.info, i.started, i.exited = i.plugin.Info(), time.Now(), make(chan struct{})
		return i, nil
	}
	start := i.launch
	if c.Address != "" {
		start = i.connect
	}
	if err := start(ctx, h, c, log); err != nil {
		i.abandon()
		return nil, fmt.Errorf("host: start plugin %s: %w", c.Name, err)
	}
	return i, nil
}

// connect connects to a plugin that the operator runs. Info is all of the handshake.
func (i *instance) connect(ctx context.Context, _ *Host, c Config, _ *slog.Logger) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.StartTimeout, fmt.Errorf("start_timeout of %v is over", c.StartTimeout))
	defer cancel()
	if i.link, err = newLink(ctx, c.Address, c.User); err != nil {
		return err
	}
	i.exited, i.started = i.link.closed, time.Now()
	if i.plugin, err = pluginrpc.New(ctx, i.link.conn, pluginrpc.ClientOptions{Name: c.Name, Limits: c.Limits}); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	i.info = i.plugin.Info()
	return nil
}

// launch runs the child, reads the handshake and connects.
func (i *instance) launch(ctx context.Context, h *Host, c Config, log *slog.Logger) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.StartTimeout, fmt.Errorf("start_timeout of %v is over", c.StartTimeout))
	defer cancel()
	var err error
	if i.socketDir, err = h.dir.sub(); err != nil {
		return err
	}
	launcher := h.launcher
	if c.NewPrivileges {
		launcher = h.trusting
	}
	if i.proc, err = newProcess(c, launcher, log); err != nil {
		return err
	}
	i.exited = i.proc.exited
	i.started = time.Now()
	if i.proc.uid >= 0 { // go-plugin makes the plugin's own directory in this one
		if err := os.Chmod(i.socketDir, 0o711); err != nil {
			return err
		}
	}
	// go-plugin's calls have no context: what ends them early is the child's death.
	stop := context.AfterFunc(ctx, i.proc.kill)
	defer stop()
	i.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion:  pluginrpc.ProtocolVersion,
			MagicCookieKey:   pluginrpc.CookieKey,
			MagicCookieValue: pluginrpc.CookieValue,
		},
		Plugins: plugin.PluginSet{},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, dir string) (runner.Runner, error) {
			return i.proc, i.proc.adopt(cmd.Env, dir)
		},
		StartTimeout:     2 * c.StartTimeout, // ours ends first, and its error names the setting
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
		SyncStdout:       &lineWriter{lineLogger: lineLogger{log: log, level: slog.LevelInfo}},
		SyncStderr:       &lineWriter{lineLogger: lineLogger{log: log, level: slog.LevelInfo}},
		GRPCDialOptions:  pluginrpc.DialOptions(),
		SkipHostEnv:      true,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: i.socketDir},
	})
	rpc, err := i.client.Client()
	if err != nil {
		return i.explain(ctx, c, err)
	}
	conn := rpc.(*plugin.GRPCClient).Conn
	i.plugin, err = pluginrpc.New(ctx, conn, pluginrpc.ClientOptions{Name: c.Name, Limits: c.Limits, FDs: i.proc.fds, Lanes: i.proc.lanes})
	if err != nil {
		return i.explain(ctx, c, err)
	}
	i.info = i.plugin.Info()
	return nil
}

// maxSocketPath is how many bytes the path of a unix socket may have, goPluginSocket how many go-plugin adds to the directory that it is given.
const (
	maxSocketPath  = 107
	goPluginSocket = len("/plugin-dir4294967295/plugin4294967295")
)

// explain adds to an error of the start what go-plugin does not know. It ends
// the child: one that is exiting by itself keeps its own exit status.
func (i *instance) explain(ctx context.Context, c Config, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if i.proc.pid() == 0 {
		return err
	}
	i.proc.kill()
	<-i.exited
	if why := i.proc.refusal(); why != "" {
		return errors.New(why)
	}
	if strings.Contains(err.Error(), "Failed to read any lines") {
		text := "it ended before it printed the handshake (" + i.proc.status + "); its log, or roost plugin check, may say why"
		if keys := c.Confinement.keys(); len(keys) > 0 {
			text += "; too little may be left to it by " + strings.Join(keys, ", ")
		}
		if len(i.socketDir)+goPluginSocket > maxSocketPath {
			text += fmt.Sprintf("; there may be no room for its socket in %s: a socket's path may have %d bytes, set TMPDIR to a shorter one", i.socketDir, maxSocketPath)
		}
		return errors.New(text)
	}
	return fmt.Errorf("%w (%s)", err, i.proc.status)
}

// suits checks what the plugin says of itself against its configuration.
func (i *instance) suits(c Config) error {
	if i.info.Kind != c.Kind {
		return backend.Errorf(backend.KindInvalidArgument, "%splugin %s is of kind %q, not %q", prefix(c.Where), c.Name, i.info.Kind, c.Kind)
	}
	return c.checkOptions(i.info)
}

// configure checks the plugin against its configuration and hands that over.
func (i *instance) configure(ctx context.Context, c Config) error {
	if err := i.suits(c); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.ConfigureTimeout, fmt.Errorf("configure_timeout of %v is over", c.ConfigureTimeout))
	defer cancel()
	if err := i.plugin.Configure(ctx, c.Plugin); err != nil {
		if errors.Is(err, pluginrpc.ErrGone) && !i.inproc() { // its exit status says more
			i.kill()
			<-i.exited
			err = fmt.Errorf("%w (%s)", err, i.ending())
		}
		if err = c.located(err); c.Sandbox && strings.Contains(err.Error(), "permission denied") {
			err = fmt.Errorf("%w (it is in a sandbox: what it may use beside the system stands in sandbox_read and sandbox_write)", err)
		}
		return err
	}
	i.info.Capabilities = i.plugin.Info().Capabilities
	if c.Plugin.ReadOnly {
		i.info = i.info.Without(backend.CapWrite)
	}
	return nil
}

// close asks the plugin to end, waits for up to the given time, and kills it. A
// plugin that dies instead of answering has ended, too: that is no error.
func (i *instance) close(wait time.Duration) error {
	if i.link != nil { // the process is the operator's
		i.link.close()
		return nil
	}
	if i.proc == nil {
		return i.plugin.Close()
	}
	kill := time.AfterFunc(wait, func() {
		i.proc.log.Warn("plugin does not end in time, killing it", "close_timeout", wait)
		i.proc.kill()
	})
	defer kill.Stop()
	err := i.plugin.Close()
	i.client.Kill() // stops go-plugin's part, and waits for the child
	i.abandon()
	if errors.Is(err, pluginrpc.ErrGone) {
		return nil
	}
	return err
}

// abandon kills the child, if it still lives, and removes all that is left of
// it. It may be called at any stage of launch.
func (i *instance) abandon() {
	if i.link != nil {
		i.link.close()
	}
	if i.proc != nil {
		if i.proc.pid() != 0 {
			i.proc.kill()
			<-i.exited
		}
		if i.client != nil {
			i.client.Kill()
		}
		i.proc.discard()
	}
	if i.socketDir != "" {
		os.RemoveAll(i.socketDir)
	}
}

// discard is close, and abandon for one that has ended already.
func (i *instance) discard(wait time.Duration) error {
	if i.gone() {
		i.abandon()
		return nil
	}
	return i.close(wait)
}

// kill ends the child or the link at once; the supervisor sees that. In-process plugins live on.
func (i *instance) kill() {
	if i.link != nil {
		i.link.close()
	}
	if i.proc != nil {
		i.proc.kill()
	}
}

// gone reports whether the child has exited.
func (i *instance) gone() bool {
	select {
	case <-i.exited:
		return true
	default:
		return false
	}
}

// inproc reports whether the plugin runs inside core.
func (i *instance) inproc() bool { return i.proc == nil && i.link == nil }

// ending says how the instance ended; valid after exited.
func (i *instance) ending() string {
	if i.link != nil {
		return fmt.Sprintf("connection to %s ended: %v", i.link.address, i.link.why)
	}
	return "process ended: " + i.proc.status
}

// pid returns 0 for an in-process plugin.
func (i *instance) pid() int {
	if i.link != nil {
		return i.link.pid
	}
	if i.proc == nil {
		return 0
	}
	return i.proc.pid()
}

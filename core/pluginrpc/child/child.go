// Package child is the plugin's own end of its life: what runs in a plugin's
// process around the implementation of its interface. Authors use it through
// plugins/sdk, core's tests directly.
//
// Serve does, in this order:
//
//  1. sends log records as JSON lines to standard error, where core reads them;
//  2. watches core: when the pipe named by ROOST_PARENT_FD reads end of file, core
//     is gone and the process exits at once;
//  3. ignores SIGINT, SIGTERM and SIGHUP: a signal to the whole process group
//     or cgroup is meant for core, which drains first and then asks its plugins to end;
//  4. listens on a unix socket in the directory that core made, prints the
//     handshake line, and serves until core asks for the end.
package child

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/heap"
	"github.com/roostmail/roost/core/pluginrpc"
)

// Started reports whether the process was started as a plugin by core.
func Started() bool { return os.Getenv(pluginrpc.CookieKey) == pluginrpc.CookieValue }

// lastExit is how long a plugin that was shut down waits for core to close the
// connection before it exits anyway.
const lastExit = 2 * time.Second

// Serve serves p until core asks for the end. It returns an error if the
// process was not started by core, or can not be a plugin.
func Serve(p backend.Plugin) error {
	if !Started() {
		return errors.New("this program is a roost plugin: roost starts it, see docs/plugin-protocol.md")
	}
	log := NewLogger()
	slog.SetDefault(log)
	if err := watchParent(); err != nil {
		return err
	}
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP)

	opts := pluginrpc.ServerOptions{Log: log, OnShutdown: func() { time.AfterFunc(lastExit, func() { os.Exit(0) }) }}
	if socket, err := inherited(pluginrpc.EnvFDChannel); err != nil {
		return err
	} else if socket != nil {
		opts.FDs = pluginrpc.NewFDSender(socket)
	}
	var err error
	if opts.Lanes, err = inherited(pluginrpc.EnvLanes); err != nil {
		return err
	}
	server, err := pluginrpc.NewServer(p, opts)
	if err != nil {
		return err
	}
	if opts.Lanes != nil {
		go func() { // ends with the process
			if err := server.ServeLanes(); err != nil {
				log.Error("lanes can not be used", "err", err)
			}
			opts.Lanes.Close() // core sees that there are no more
		}()
	}
	heap.Prime()
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: Handshake(),
		Plugins:         plugin.PluginSet{pluginrpc.PluginSet: entry{server: server}},
		GRPCServer: func(o []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(o, server.GRPCOptions()...)...)
		},
		Logger: hclog.New(&hclog.LoggerOptions{Output: os.Stderr, Level: hclog.Error}),
	})
	return nil
}

// Handshake is go-plugin's view of the handshake; core uses it too.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{
		ProtocolVersion:  pluginrpc.ProtocolVersion,
		MagicCookieKey:   pluginrpc.CookieKey,
		MagicCookieValue: pluginrpc.CookieValue,
	}
}

// entry registers the server with go-plugin.
type entry struct {
	plugin.NetRPCUnsupportedPlugin
	server *pluginrpc.Server
}

func (e entry) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	e.server.Register(s)
	return nil
}

func (e entry) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("child: a plugin connects to nobody")
}

// NewLogger returns a logger whose records core repeats in its own log, with
// the plugin's name, and of a call's context (slog.InfoContext) whose call it was. It takes the standard error that the process was started with.
func NewLogger() *slog.Logger {
	var level slog.Level // stays LevelInfo if the variable is missing or wrong
	_ = level.UnmarshalText([]byte(os.Getenv(pluginrpc.EnvLogLevel)))
	return slog.New(backend.LogOrigin(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
}

// watchParent ends the process as soon as core is gone, however it died. The
// goroutine lives as long as the process.
func watchParent() error {
	pipe, err := inherited(pluginrpc.EnvParentFD)
	if err != nil || pipe == nil {
		return err
	}
	go func() {
		var b [1]byte
		_, _ = pipe.Read(b[:]) // nothing is ever written: this returns when core is gone
		os.Exit(1)
	}()
	return nil
}

// inherited returns the descriptor whose number is in an environment variable,
// nil if that is not set. Programs that the plugin starts do not inherit it.
func inherited(env string) (*os.File, error) {
	v := os.Getenv(env)
	if v == "" {
		return nil, nil
	}
	fd, err := strconv.Atoi(v)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("%s=%s is not the number of an inherited descriptor", env, v)
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("%s=%s: %w", env, v, err)
	}
	return os.NewFile(uintptr(fd), env), nil
}

package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/roostmail/roost/core/backend"
)

// Host owns the plugins of a core process. It is safe for concurrent use.
type Host struct {
	log      *slog.Logger
	dir      *runDir
	launcher *launcher // of children that can not gain privileges
	trusting *launcher // of those that can

	mu      sync.Mutex
	plugins []*Plugin // in the order of their start
	closed  bool
}

// Options says where a Host works.
type Options struct {
	// Log gets the host's own records, and those of the plugins with the attribute plugin; nil = slog.Default().
	Log *slog.Logger
	// RunDir is the directory in which the sockets' directory is made; "" = os.TempDir(). Its
	// path must be short (below 50 bytes), because that of a unix socket has at most 107; and
	// plugins with a user of their own must be able to pass through it.
	RunDir string
}

// New makes a host. It removes the run directories that dead hosts have left in RunDir.
func New(o Options) (*Host, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.RunDir == "" {
		o.RunDir = os.TempDir()
	}
	if err := keepInherited(); err != nil {
		return nil, err
	}
	dir, err := newRunDir(o.RunDir)
	if err != nil {
		return nil, err
	}
	return &Host{log: o.Log, dir: dir, launcher: newLauncher(true), trusting: newLauncher(false)}, nil
}

var errClosed = errors.New("host: closed")

// Start starts a plugin and configures it. It fails if the first process does not come up; from then on
// the plugin is supervised until Close. ctx ends the start only.
func (h *Host) Start(ctx context.Context, c Config) (*Plugin, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	p := newPlugin(h, c)
	first, err := p.start(ctx, c)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		first.abandon()
		return nil, errClosed
	}
	h.plugins = append(h.plugins, p)
	p.run(first)
	return p, nil
}

// Describe starts a plugin, asks for its Info, and ends it again; it is never
// configured, so it touches nothing. c.Kind and c.Plugin are not used.
func (h *Host) Describe(ctx context.Context, c Config) (backend.Info, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return backend.Info{}, err
	}
	i, err := h.newInstance(ctx, c, h.log.With("plugin", c.Name))
	if err != nil {
		return backend.Info{}, err
	}
	return i.info, i.close(c.CloseTimeout)
}

// Check starts a plugin and configures it as Start does, ends it again, and returns what it says of itself. One that the operator runs may be serving
// another core: it is not configured, but what it says is held against kind and options.
func (h *Host) Check(ctx context.Context, c Config) (backend.Info, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return backend.Info{}, err
	}
	i, err := h.newInstance(ctx, c, h.log.With("plugin", c.Name))
	if err != nil {
		return backend.Info{}, fmt.Errorf("%s%w", prefix(c.Where), err)
	}
	if c.Address != "" {
		defer i.abandon()
		return i.info, i.suits(c)
	}
	if err := i.configure(ctx, c); err != nil {
		i.abandon()
		return backend.Info{}, err
	}
	return i.info, i.close(c.CloseTimeout)
}

// Plugins returns the plugins in the order of their start.
func (h *Host) Plugins() []*Plugin {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]*Plugin(nil), h.plugins...)
}

// Close closes all plugins, at once, and removes the run directory. It returns
// after all children have ended.
func (h *Host) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	plugins := h.plugins
	h.mu.Unlock()

	errs := make([]error, len(plugins)+1)
	var wg sync.WaitGroup
	for i, p := range plugins {
		wg.Go(func() { errs[i] = p.Close() })
	}
	wg.Wait()
	h.launcher.close()
	h.trusting.close()
	if err := h.dir.close(); err != nil {
		errs[len(plugins)] = fmt.Errorf("host: run directory: %w", err)
	}
	return errors.Join(errs...)
}

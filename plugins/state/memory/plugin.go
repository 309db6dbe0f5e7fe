package memory

import (
	"context"
	"sync"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// Version of the plugin, semver.
const Version = "0.1.0"

// defaultBytes is the default of max_bytes.
const defaultBytes = 64 << 20

// Plugin is the state plugin. It must be configured before use.
type Plugin struct {
	mu    sync.Mutex
	store *store // the pointer, and what is in it
}

var (
	_ backend.State        = (*Plugin)(nil)
	_ backend.StateWatcher = (*Plugin)(nil)
)

// New returns a plugin that has to be configured before use.
func New() *Plugin { return &Plugin{} }

// Info describes the plugin.
func (p *Plugin) Info() backend.Info {
	return backend.Info{
		Kind:         backend.KindState,
		Name:         "memory",
		Version:      Version,
		Description:  "keeps shared state in its own memory, until it ends",
		Capabilities: []string{backend.CapWatch},
		Options: []backend.Option{{Name: "max_bytes", Type: backend.OptionSize, Default: `"64M"`,
			Help: "memory for keys and values, counted with 256 bytes for each; beyond it nothing more is written"}},
	}
}

// Configure implements backend.Plugin.
func (p *Plugin) Configure(_ context.Context, c backend.Config) error {
	max := int64(defaultBytes)
	if text, ok := c.Options["max_bytes"].(string); ok {
		n, err := backend.ParseSize(text)
		if err != nil {
			return backend.OptionErrorf("max_bytes", "%q %v", text, err)
		}
		max = n
	}
	p.start(newStore(max, time.Now))
	return nil
}

// start begins to serve a store.
func (p *Plugin) start(s *store) {
	p.mu.Lock()
	p.store = s
	p.mu.Unlock()
	s.done.Go(func() { p.expire(s) }) // ends with Close
}

// Health implements backend.Plugin.
func (p *Plugin) Health(context.Context) error { return nil }

// Close ends all watches, and forgets everything.
func (p *Plugin) Close() error {
	p.mu.Lock()
	s := p.store
	p.mu.Unlock()
	if s != nil {
		s.stopOnce.Do(func() { close(s.stop) })
		s.done.Wait()
	}
	return nil
}

// Get implements backend.State.
func (p *Plugin) Get(ctx context.Context, namespace string, keys []string) ([]backend.StateValue, error) {
	if err := check(ctx, backend.CheckStateKeys(namespace, keys)); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.store.get(namespace, keys), nil
}

// Put implements backend.State.
func (p *Plugin) Put(ctx context.Context, r backend.StatePut) (backend.StateResult, error) {
	if err := check(ctx, r.Check()); err != nil {
		return backend.StateResult{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.store.put(r)
}

// Delete implements backend.State.
func (p *Plugin) Delete(ctx context.Context, r backend.StateDelete) (backend.StateResult, error) {
	if err := check(ctx, r.Check()); err != nil {
		return backend.StateResult{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.store.delete(r), nil
}

// List implements backend.State.
func (p *Plugin) List(ctx context.Context, r backend.StateList) (*backend.StatePage, error) {
	if err := check(ctx, r.Check()); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.store.list(r), nil
}

// check refuses a request that breaks a rule, or that nobody wants to be answered any more.
func check(ctx context.Context, rule error) error {
	if rule != nil {
		return backend.Errorf(backend.KindInvalidArgument, "%v", rule)
	}
	if ctx.Err() != nil {
		return backend.Errorf(backend.KindCancelled, "cancelled")
	}
	return nil
}

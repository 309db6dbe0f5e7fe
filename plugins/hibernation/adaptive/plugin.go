package adaptive

import (
	"context"
	"sync"

	"github.com/roostmail/roost/core/backend"
)

// Version of the plugin, semver.
const Version = "0.1.0"

// Plugin is the hibernation plugin. Its zero value must be configured.
type Plugin struct {
	mu     sync.Mutex
	policy *policy
}

var _ backend.Hibernation = (*Plugin)(nil)

// New returns a plugin that has to be configured before use.
func New() *Plugin { return &Plugin{} }

// Info describes the plugin.
func (p *Plugin) Info() backend.Info {
	return backend.Info{
		Kind:        backend.KindHibernation,
		Name:        "adaptive",
		Version:     Version,
		Description: "keeps mailboxes warm that are likely to be used again soon, while there is memory",
		Options:     optionList,
	}
}

// Configure implements backend.Plugin.
func (p *Plugin) Configure(_ context.Context, c backend.Config) error {
	o, err := parseOptions(c.Options)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.policy = newPolicy(o)
	return nil
}

// Health implements backend.Plugin.
func (p *Plugin) Health(context.Context) error { return nil }

// Close has nothing to end.
func (p *Plugin) Close() error { return nil }

// Decide implements backend.Hibernation.
func (p *Plugin) Decide(ctx context.Context, b *backend.HibernationBatch) (*backend.HibernationAnswer, error) {
	if err := b.Check(); err != nil {
		return nil, backend.Errorf(backend.KindInvalidArgument, "%v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := ctx.Err(); err != nil { // it has waited, and nobody wants the answer any more: learn nothing twice
		return nil, backend.Errorf(backend.KindCancelled, "cancelled")
	}
	return p.policy.decide(b), nil
}

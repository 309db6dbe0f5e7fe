package main

import (
	"context"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// plugin parks the mailboxes that have rested for longer than a fixed time, and keeps the others, as long as there is memory.
type plugin struct{ idle time.Duration }

// Info implements backend.Plugin.
func (p *plugin) Info() backend.Info {
	return backend.Info{
		Kind: backend.KindHibernation, Name: "hibernation-idle", Version: "1.0.0", Description: "parks what has rested for a fixed time",
		Options: []backend.Option{{Name: "idle", Type: backend.OptionDuration, Default: "30s", Help: "how long a mailbox rests before it is parked"}},
	}
}

// Configure implements backend.Plugin.
func (p *plugin) Configure(_ context.Context, c backend.Config) (err error) {
	p.idle = 30 * time.Second
	if text, ok := c.Options["idle"].(string); ok {
		if p.idle, err = time.ParseDuration(text); err != nil || p.idle < 0 {
			return backend.OptionErrorf("idle", "is not a duration such as 30s")
		}
	}
	return nil
}

// Health implements backend.Plugin.
func (p *plugin) Health(context.Context) error { return nil }

// Close implements backend.Plugin.
func (p *plugin) Close() error { return nil }

// Decide implements backend.Hibernation. Of mailboxes that it says nothing about core decides itself: it parks them.
func (p *plugin) Decide(_ context.Context, b *backend.HibernationBatch) (*backend.HibernationAnswer, error) {
	if err := b.Check(); err != nil {
		return nil, backend.Errorf(backend.KindInvalidArgument, "%v", err)
	}
	a := &backend.HibernationAnswer{}
	if b.Load.MemoryMark > 0 && b.Load.MemoryUsed > b.Load.MemoryMark { // 0: no mark
		return a, nil
	}
	idle := uint32(min(p.idle.Milliseconds(), 1<<31))
	for i, id := range b.IDs {
		if b.Idle[i] >= idle || b.States[i] == backend.StateLeft {
			continue
		}
		a.IDs = append(a.IDs, id)
		a.Actions = append(a.Actions, backend.ActionKeep)
		a.Again = append(a.Again, idle-b.Idle[i])
	}
	return a, nil
}

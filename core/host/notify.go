package host

import (
	"context"

	"github.com/roostmail/roost/core/backend"
)

// Notify returns the plugin as backend.Notify, nil if it is of another kind. The value also implements backend.Listener; without
// CapListen that fails with KindUnsupported.
func (p *Plugin) Notify() backend.Notify {
	if p.kind != backend.KindNotify {
		return nil
	}
	return notify{base{p}}
}

type notify struct{ base }

// Publish implements backend.Notify. To be told twice is harmless.
func (n notify) Publish(ctx context.Context, b *backend.ChangeBatch) error {
	return n.p.call(ctx, twice, func(p backend.Plugin) error { return p.(backend.Notify).Publish(ctx, b) })
}

// Listen implements backend.Listener. When the process dies it fails: what was told meanwhile is lost. When the process is replaced it goes on with the
// next one; hear is told that something may be lost (Lost, or Begun when that is so no longer) unless both have CapListenGapless, and the swap was clean.
// hear is called by one goroutine at a time. r.Until is not used.
func (n notify) Listen(ctx context.Context, r backend.ListenRequest, hear func(*backend.Heard) error) error {
	return listen(ctx, n.p, r, hear)
}

var _ backend.Listener = notify{}

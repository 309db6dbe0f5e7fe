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
// next one, and hear is told that something may be lost.
func (n notify) Listen(ctx context.Context, r backend.ListenRequest, hear func(*backend.Heard) error) error {
	lost := func() error { return hear(&backend.Heard{Lost: true}) }
	return n.p.follow(ctx, lost, func(ctx context.Context, p backend.Plugin) error {
		l, ok := p.(backend.Listener)
		if !ok || !p.Info().Has(backend.CapListen) {
			return backend.Errorf(backend.KindUnsupported, "the plugin does not listen")
		}
		return l.Listen(ctx, r, hear)
	})
}

var _ backend.Listener = notify{}

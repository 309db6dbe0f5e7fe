package host

import (
	"context"

	"github.com/roostmail/roost/core/backend"
)

// Hibernation returns the plugin as backend.Hibernation, nil if it is of another kind.
func (p *Plugin) Hibernation() backend.Hibernation {
	if p.kind != backend.KindHibernation {
		return nil
	}
	return hibernation{base{p}}
}

type hibernation struct{ base }

// Decide implements backend.Hibernation. It is not repeated when the plugin dies meanwhile: core has an answer of its own, and
// the question would be an old one.
func (h hibernation) Decide(ctx context.Context, b *backend.HibernationBatch) (a *backend.HibernationAnswer, err error) {
	err = h.p.call(ctx, once, func(p backend.Plugin) (err error) {
		a, err = p.(backend.Hibernation).Decide(ctx, b)
		return err
	})
	return a, err
}

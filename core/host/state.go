package host

import (
	"context"

	"github.com/roostmail/roost/core/backend"
)

// StateStore returns the plugin as backend.State, nil if it is of another kind. The value also implements backend.StateWatcher; without
// CapWatch that fails with KindUnsupported.
func (p *Plugin) StateStore() backend.State {
	if p.kind != backend.KindState {
		return nil
	}
	return state{base{p}}
}

type state struct{ base }

// Get implements backend.State.
func (s state) Get(ctx context.Context, namespace string, keys []string) (values []backend.StateValue, err error) {
	err = s.p.call(ctx, twice, func(p backend.Plugin) (err error) {
		values, err = p.(backend.State).Get(ctx, namespace, keys)
		return err
	})
	return values, err
}

// Put implements backend.State. A condition that held the first time would not hold again: it is repeated only if it was not sent.
func (s state) Put(ctx context.Context, r backend.StatePut) (out backend.StateResult, err error) {
	err = s.p.call(ctx, onceCalled, func(p backend.Plugin) (err error) {
		out, err = p.(backend.State).Put(ctx, r)
		return err
	})
	return out, err
}

// Delete implements backend.State. It is repeated only if it was not sent.
func (s state) Delete(ctx context.Context, r backend.StateDelete) (out backend.StateResult, err error) {
	err = s.p.call(ctx, onceCalled, func(p backend.Plugin) (err error) {
		out, err = p.(backend.State).Delete(ctx, r)
		return err
	})
	return out, err
}

// List implements backend.State.
func (s state) List(ctx context.Context, r backend.StateList) (page *backend.StatePage, err error) {
	err = s.p.call(ctx, twice, func(p backend.Plugin) (err error) {
		page, err = p.(backend.State).List(ctx, r)
		return err
	})
	return page, err
}

// Watch implements backend.StateWatcher. When the process dies it fails: what changed meanwhile is lost. When the process is replaced it
// goes on with the next one, whose first news say that something may be lost.
func (s state) Watch(ctx context.Context, r backend.StateWatch, tell func(*backend.StateNews) error) error {
	return s.p.follow(ctx, func() error { return nil }, func(ctx context.Context, p backend.Plugin) error {
		w, ok := p.(backend.StateWatcher)
		if !ok || !p.Info().Has(backend.CapWatch) {
			return backend.Errorf(backend.KindUnsupported, "the plugin does not tell of changes")
		}
		return w.Watch(ctx, r, tell)
	})
}

var _ backend.StateWatcher = state{}

package memory

import (
	"context"
	"strings"

	"github.com/roostmail/roost/core/backend"
)

// watch is a caller of Watch. Plugin.mu guards its fields.
type watch struct {
	prefix  string // of names
	cut     int    // bytes of a name before the key
	waiting backend.StateNews
	news    chan struct{} // has an element when there is something in waiting
}

// tell puts a change into the queues of those who watch it. Who has let too many wait loses them.
func (s *store) tell(name string, version uint64) {
	for w := range s.watches {
		if !strings.HasPrefix(name, w.prefix) {
			continue
		}
		if len(w.waiting.Changes) == backend.MaxStateBatch {
			w.waiting = backend.StateNews{Lost: true}
		}
		w.waiting.Changes = append(w.waiting.Changes, backend.StateChange{Key: name[w.cut:], Version: version})
		w.wake()
	}
}

func (w *watch) wake() {
	select {
	case w.news <- struct{}{}:
	default: // it is told already
	}
}

// Watch implements backend.StateWatcher.
func (p *Plugin) Watch(ctx context.Context, r backend.StateWatch, tell func(*backend.StateNews) error) error {
	if err := check(ctx, r.Check()); err != nil {
		return err
	}
	w := &watch{prefix: nameOf(r.Namespace, r.Prefix), cut: len(r.Namespace) + 1, waiting: backend.StateNews{Lost: true}, news: make(chan struct{}, 1)}
	w.wake()
	p.mu.Lock()
	s := p.store
	s.watches[w] = struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(s.watches, w)
		p.mu.Unlock()
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.stop:
			return backend.Errorf(backend.KindUnavailable, "the state plugin ends")
		case <-w.news:
		}
		p.mu.Lock()
		news := w.waiting
		w.waiting = backend.StateNews{}
		p.mu.Unlock()
		if err := tell(&news); err != nil {
			return err
		}
	}
}

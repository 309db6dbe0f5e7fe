package host

import (
	"context"
	"sync"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// hearing is one call of Listen, which goes on over processes that take each other's place. Each is listened to by a leg of its own.
//
//	process 1  ── Listen ── begun ─────────────── Until ── rest ── nil
//	process 2                 reload ── Listen ── begun ──────────────
//
// The leg on process 2 has begun before that on process 1 is asked to end: so nothing is missed, and hear is not told of it. After anything
// else than this there is a gap, which hear is told of when it has ended.
type hearing struct {
	p      *Plugin
	ctx    context.Context // ends with the call
	node   string
	events chan event

	mu   sync.Mutex // held while hear is called
	hear func(*backend.Heard) error
}

// leg is one Listen, on one process.
type leg struct {
	follows bool          // another one was before it
	until   chan struct{} // closed to end it
	cancel  context.CancelCauseFunc

	begun bool // of hearing.follow: it misses nothing
}

// event is what a leg tells.
type event struct {
	l    *leg
	what int
	err  error // of legEnded
}

const (
	legPlain    = iota // it runs without CapListenGapless: it will not say that it has begun
	legBegun           // it misses nothing from now on
	legReplaced        // its process is not the current one any more
	legEnded
)

// listen calls Listen of p's current process, and of those that take its place, until one fails, ctx ends or hear fails.
func listen(ctx context.Context, p *Plugin, r backend.ListenRequest, hear func(*backend.Heard) error) error {
	ctx, cancel := context.WithCancel(ctx)
	h := &hearing{p: p, ctx: ctx, node: r.Node, hear: hear, events: make(chan event)}
	var legs sync.WaitGroup
	defer legs.Wait()
	defer cancel()
	return h.follow(func(follows bool) *leg {
		l := &leg{follows: follows, until: make(chan struct{})}
		var ctx context.Context
		ctx, l.cancel = context.WithCancelCause(h.ctx)
		legs.Go(func() { // ends with h.ctx, and before that as follow says
			defer l.cancel(nil)
			err := h.run(ctx, l)
			h.send(event{l, legEnded, err})
		})
		return l
	})
}

// follow starts a leg on each process that becomes the current one, and returns why the last one ended.
func (h *hearing) follow(start func(follows bool) *leg) error {
	cur := start(false)
	olds := map[*leg]bool{} // those that go on until cur has begun, and then until they have told the rest
	gap := true             // something may be missed until cur has begun
	endOlds := func() {
		for l := range olds {
			l.end()
		}
	}
	for {
		var e event
		select {
		case e = <-h.events:
		case <-h.ctx.Done():
			return &backend.Error{Kind: backend.KindCancelled, Cause: context.Cause(h.ctx)}
		}
		switch {
		case e.what == legEnded && olds[e.l]:
			delete(olds, e.l)
			if e.err == nil && e.l.ending() {
				continue // it has told everything
			}
			h.p.log.Warn("the replaced process has not told all changes on other servers", "err", e.err)
			if gap = !cur.begun; !gap {
				if err := h.tell(&backend.Heard{Lost: true}); err != nil {
					return err
				}
			}
		case e.l != cur:
		case e.what == legPlain:
			cur.begun, gap = true, false // as far as can be known: it has told that something may be lost
			endOlds()
		case e.what == legBegun && !cur.begun:
			cur.begun = true
			if gap {
				if err := h.tell(&backend.Heard{Begun: true}); err != nil {
					return err
				}
			}
			gap = false
			endOlds()
		case e.what == legReplaced:
			if cur.begun {
				olds[cur] = true
			} else {
				cur.cancel(errReplaced)
			}
			cur = start(true)
		case e.what == legEnded && e.err == errReplaced:
			gap = true
			cur = start(true)
		case e.what == legEnded:
			return e.err
		}
	}
}

// end asks the leg to tell the rest.
func (l *leg) end() {
	if !l.ending() {
		close(l.until)
	}
}

// ending reports whether the leg was asked to end.
func (l *leg) ending() bool {
	select {
	case <-l.until:
		return true
	default:
		return false
	}
}

// run listens to the current process. It returns errReplaced if it was ended because another process takes its place.
func (h *hearing) run(ctx context.Context, l *leg) error {
	h.p.stats.begin()
	begun := time.Now()
	replaced := false
	err := h.p.attemptOn(ctx, func(i *instance) error {
		listener, ok := i.plugin.(backend.Listener)
		if !ok || !i.plugin.Info().Has(backend.CapListen) {
			return backend.Errorf(backend.KindUnsupported, "the plugin does not listen")
		}
		whenReplaced := func() { l.cancel(errReplaced) }
		if i.plugin.Info().Has(backend.CapListenGapless) {
			whenReplaced = func() { h.send(event{l: l, what: legReplaced}) }
		} else {
			if l.follows {
				if err := h.tell(&backend.Heard{Lost: true}); err != nil {
					return err
				}
			}
			h.send(event{l: l, what: legPlain})
		}
		defer context.AfterFunc(i.life, whenReplaced)()
		err := listener.Listen(ctx, backend.ListenRequest{Node: h.node, Until: l.until}, func(x *backend.Heard) error {
			if x.Begun {
				x = &backend.Heard{Changes: x.Changes, Lost: x.Lost}
				h.send(event{l: l, what: legBegun})
			}
			if len(x.Changes) == 0 && !x.Lost {
				return nil
			}
			return h.tell(x)
		})
		replaced = context.Cause(ctx) == errReplaced
		return err
	})
	if replaced {
		err = nil
	}
	h.p.stats.end(err, time.Since(begun))
	if replaced {
		return errReplaced
	}
	return err
}

// tell calls hear.
func (h *hearing) tell(x *backend.Heard) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.ctx.Err(); err != nil {
		return err
	}
	return h.hear(x)
}

// send tells follow of something, unless it has ended.
func (h *hearing) send(e event) {
	select {
	case h.events <- e:
	case <-h.ctx.Done():
	}
}

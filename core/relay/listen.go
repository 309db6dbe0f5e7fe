package relay

import (
	"time"

	"github.com/roostmail/roost/core/backend"
)

// listen hears what other servers have changed, until the relay is closed.
func (r *Relay) listen(l backend.Listener) {
	var failed pauses
	var lost time.Time
	for {
		begun := time.Now()
		err := l.Listen(r.ctx, backend.ListenRequest{Node: r.cfg.Node}, func(h *backend.Heard) error {
			r.hear(h, &lost)
			return r.ctx.Err()
		})
		if r.ctx.Err() != nil {
			return
		}
		r.log.Error("changes on other servers are not heard, every mailbox is taken for changed", "error", err)
		r.lost(&lost)
		if time.Since(begun) > longestPause {
			failed = pauses{}
		}
		failed.wait(r.ctx)
	}
}

// hear passes on what was heard. Changes from here come back through some plugins, and are no news.
func (r *Relay) hear(h *backend.Heard, lost *time.Time) {
	for _, c := range h.Changes {
		if c.Node == r.cfg.Node {
			continue
		}
		r.counts.heard.Add(1)
		r.heard.add(c)
		r.sink.Elsewhere(c)
	}
	if h.Lost || h.Begun { // what happened before it has begun was not heard
		r.lost(lost)
	}
}

// lostPause is the shortest time between two occasions on which everything is taken for changed. Meanwhile nothing is heard.
const lostPause = time.Second

// lost takes everything for changed. last is when that was done before.
func (r *Relay) lost(last *time.Time) {
	if pause := lostPause - time.Since(*last); pause > 0 {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.ctx.Done():
			return
		}
	}
	*last = time.Now()
	r.counts.lost.Add(1)
	r.sink.ElsewhereLost()
}

package session

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostmail/roost/core/conn"
)

// Held is a session's descriptor, of which a Keeper has a duplicate.
type Held struct {
	Session Handle
	FD      int
}

// Keeper keeps duplicates of the descriptors of sleeping sessions, in a process that outlives this one. Its methods are
// called by one goroutine at a time.
type Keeper interface {
	// Hold keeps duplicates of the first n descriptors. It does not block: if n is less than len(held) without an error, the
	// keeper can take no more before Wait has returned.
	Hold(held []Held) (n int, err error)
	// Drop gives duplicates up. It may block while the keeper is busy.
	Drop(ended []Handle) error
	// Wait returns when Hold can go on.
	Wait() error
}

// MaxHeld is how many descriptors one call of Hold gets: as many as fit in one message (SCM_MAX_FD).
const MaxHeld = 253

// holdDelay is how long descriptors are collected before they go to the keeper: most connections that end soon cost nothing, and
// the others share a message. A session that has come to sleep for the first time within it is lost with its process.
const holdDelay = 50 * time.Millisecond

// holder tells the keeper which sessions there are.
type holder struct {
	e    *Engine
	k    Keeper
	held atomic.Int64 // duplicates that the keeper has

	s       Session   // of run's goroutine
	savedAt time.Time // the same: of the last saveLarge

	mu     sync.Mutex          // guards what follows
	fresh  []Handle            // sessions that sleep and are not held
	large  map[Handle]struct{} // sessions that sleep with an extra that is not written down
	ended  []Handle            // sessions that were held
	awake  bool                // run is collecting
	closed bool
	wake   chan struct{} // capacity 1; closed: end
	done   chan struct{}
}

func newHolder(e *Engine, k Keeper) *holder {
	h := &holder{e: e, k: k, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go h.run() // ends with stop
	return h
}

// note tells that a session sleeps for the first time.
func (h *holder) note(s Handle) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fresh = append(h.fresh, s)
	h.rouse()
}

// noteLarge tells that a session sleeps with an extra that was not written down.
func (h *holder) noteLarge(s Handle) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.large == nil {
		h.large = map[Handle]struct{}{}
	}
	h.large[s] = struct{}{}
	h.rouse()
}

// drop tells that a session that was held ends. Its slot is not free yet, so the keeper hears it before it hears of the slot's next session.
func (h *holder) drop(s Handle) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = append(h.ended, s)
	h.rouse()
}

// rouse starts a round of run. h.mu is held.
func (h *holder) rouse() {
	if !h.awake && !h.closed {
		h.awake = true
		h.wake <- struct{}{} // capacity 1, and run has taken the one before
	}
}

// stop ends the goroutine. What is told later waits for finish.
func (h *holder) stop() {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		close(h.wake)
	}
	h.mu.Unlock()
	<-h.done
}

func (h *holder) run() {
	defer close(h.done)
	for range h.wake {
		time.Sleep(holdDelay) // to collect, not to wait for anything
		h.saveLarge()
		if err := h.round(); err != nil {
			h.e.log.Error("the keeper takes no descriptors: sessions are lost if this process is killed", "error", err)
			h.stopped()
			return
		}
	}
}

// stopped makes note and drop do nothing more than collect.
func (h *holder) stopped() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.closed = true
		close(h.wake)
	}
}

// take takes what has been collected. Without anything the next note rouses run.
func (h *holder) take() (fresh, ended []Handle) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fresh, ended = h.fresh, h.ended
	h.fresh, h.ended = nil, nil
	if h.awake = len(h.large) > 0 && !h.closed; h.awake {
		h.wake <- struct{}{} // capacity 1, and run has taken the one before
	}
	return fresh, ended
}

// round tells the keeper what has been collected.
func (h *holder) round() error {
	fresh, ended := h.take()
	if err := h.tellEnded(ended); err != nil {
		return err
	}
	var busy []Handle
	for len(fresh) > 0 {
		n := min(len(fresh), MaxHeld)
		left, err := h.hold(fresh[:n], &busy)
		if err != nil {
			return err
		}
		if len(left) > 0 {
			if err := h.k.Wait(); err != nil {
				return err
			}
		}
		fresh = append(left, fresh[n:]...)
	}
	for _, s := range busy { // they will sleep some time
		h.note(s)
	}
	return nil
}

func (h *holder) tellEnded(ended []Handle) error {
	if len(ended) == 0 {
		return nil
	}
	h.held.Add(-int64(len(ended)))
	return h.k.Drop(ended)
}

// hold gives the descriptors of sleeping sessions to the keeper, and returns those that it could not take now. Each is owned meanwhile: nobody
// else can end it, so the descriptor is that of the session. Sessions that are awake are appended to busy.
func (h *holder) hold(sessions []Handle, busy *[]Handle) (left []Handle, err error) {
	owned := make([]Held, 0, len(sessions))
	for _, s := range sessions {
		r := h.e.slab.at(s.slot())
		switch out, _ := r.word.signal(s.gen(), 0); out {
		case signalOwned:
			owned = append(owned, Held{s, int(r.fd)})
		case signalPending, signalNudge:
			*busy = append(*busy, s)
		}
	}
	n, err := h.k.Hold(owned)
	for i, o := range owned {
		r := h.e.slab.at(o.Session.slot())
		if i < n {
			r.word.touch()
			r.flags |= flagHeld
			h.held.Add(1)
		} else {
			left = append(left, o.Session)
		}
		h.release(o.Session, r)
	}
	return left, err
}

// release lets a session that it owns sleep on.
func (h *holder) release(s Handle, r *record) {
	if b := r.release(); b != 0 {
		h.e.submit(task{slot: s.slot(), gen: s.gen(), b: b})
		return
	}
	h.e.settle()
}

// finish tells the keeper the rest, after stop: which sessions have ended, and which descriptors it has not got.
func (h *holder) finish(frozen []Held) error {
	_, ended := h.take()
	if err := h.tellEnded(ended); err != nil {
		return err
	}
	for len(frozen) > 0 {
		n, err := h.k.Hold(frozen[:min(len(frozen), MaxHeld)])
		if err != nil {
			return err
		}
		h.held.Add(int64(n))
		if frozen = frozen[n:]; n == 0 {
			if err := h.k.Wait(); err != nil {
				return err
			}
		}
	}
	return nil
}

// closeFD closes the descriptor of a session that ends, which the caller owns.
func (s *Session) closeFD(linger bool) {
	held := s.r.flags&flagHeld != 0
	if held {
		_ = s.e.loop(s.slot).poller.Remove(int(s.r.fd)) // it is closed next in any case
	}
	conn.Close(int(s.r.fd), linger, held, s.scratch)
	if held {
		s.e.holder.drop(s.Handle())
	}
}

package session

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/core/slab"
)

// A session moves to another process in this order, so that at no moment two processes own it:
//
//	1. Freeze: no connection is accepted, no command is begun any more. Commands that run end, or are ended.
//	2. Every session goes to sleep with all of its state in shared memory, and its word says that nobody may own it (word: frozen).
//	3. The keeper has all descriptors. It gives them, and the tables, to the other process, which restores the sessions (restore.go).
//	4. Abandon: this process forgets them.

// ErrNoKeeper says that there is no keeper to move sessions with.
var ErrNoKeeper = errors.New("session: there is no keeper")

// Freeze stops everything that happens to sessions, and makes them ready for another process. Commands that run are waited for
// until ctx ends; then their sessions are ended. So are, with Protocol.Shutdown, sessions that can not be moved. There is no way back: Abandon must follow.
//
// It returns how many sessions were ended, and an error if the keeper fails: then it may lack descriptors.
func (e *Engine) Freeze(ctx context.Context) (ended int, err error) {
	if e.holder == nil {
		return 0, ErrNoKeeper
	}
	e.stopAccepting()
	e.holder.stop()
	before := e.live.Load()
	e.freezing.Store(true)
	e.tasks.nudgeAll()
	expired := ctx.Done()
	var frozen []Held
	for e.freezeAll(&frozen) > 0 {
		select {
		case <-e.settled:
		case <-expired:
			expired = nil
			e.signalAll(bitKill)
		}
	}
	return int(before - e.live.Load()), e.holder.finish(frozen)
}

// freezeAll freezes the sessions that sleep, and appends those to frozen whose descriptors the keeper lacks. It returns how many do not sleep yet.
func (e *Engine) freezeAll(frozen *[]Held) (awake int) {
	var s Session
	for slot := uint32(1); slot <= e.slab.slots(); slot++ {
		r, gen := e.slab.hold(slot)
		if r != nil && !e.freeze(&s, slot, gen, frozen) {
			awake++
		}
		e.slab.letGo()
	}
	return awake
}

func (e *Engine) freeze(s *Session, slot, gen uint32, frozen *[]Held) bool {
	r := e.slab.at(slot)
	out, b := r.word.signal(gen, 0)
	switch out {
	case signalStale: // it is frozen, or has ended
		return true
	case signalPending, signalNudge:
		return false
	}
	r.word.touch()
	if r.filed() {
		s.attach(e, slot, gen, nil)
	} else {
		s.attachRecord(e, slot, gen)
	}
	lacks := r.flags&flagHeld == 0
	for {
		if b&bitKill != 0 {
			e.submit(task{slot: slot, gen: gen, b: b})
			return false
		}
		s.note(b)
		if s.x != nil {
			s.keep(maxSaved)
		}
		if r.filed() {
			end := bitShutdown
			if s.blocked() { // a farewell would have to wait for the client
				end = bitKill
			}
			e.submit(task{slot: slot, gen: gen, b: end})
			return false
		}
		r.flags |= flagNoted | flagHeld
		if b = r.word.freeze(r.sum()); b == 0 {
			break
		}
		if lacks {
			r.flags &^= flagHeld
		}
	}
	if lacks {
		*frozen = append(*frozen, Held{makeHandle(slot, gen), int(r.fd)})
	}
	return true
}

// maxSaved is the largest extra that is moved: more than Config lets one be.
const maxSaved = slab.MaxBlob - 1<<20

// settle tells Freeze that a session has gone to sleep or ended.
func (e *Engine) settle() {
	if e.freezing.Load() {
		select {
		case e.settled <- struct{}{}:
		default: // it is told already
		}
	}
}

// Abandon ends the engine after Freeze, and returns when every goroutine of it has ended. The sessions go on where their descriptors are; nothing
// is written to them, and Protocol.Closed is not called.
func (e *Engine) Abandon() {
	if e.abandon() {
		e.closeTables()
	}
}

// abandon is Abandon, but leaves the tables mapped. It returns false if the engine has ended before.
func (e *Engine) abandon() bool {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return false
	}
	e.closed = true
	e.mu.Unlock()
	e.cancel(ErrStopping)
	e.pool.close()
	e.spools.closing.Wait()
	for _, l := range e.loops {
		l.end()
	}
	for slot := uint32(1); slot <= e.slab.slots(); slot++ {
		if r, _ := e.slab.hold(slot); r != nil {
			unix.Close(int(r.fd))
		}
		e.slab.letGo()
	}
	return true
}

package session

import (
	"slices"

	"github.com/roostmail/roost/core/conn"
	"github.com/roostmail/roost/core/conn/tls13"
)

// signalled is a session together with what has happened to it.
type signalled struct {
	Handle
	bits
}

// restore makes the inherited sessions this engine's own, before its loops run. It returns those that have something to do then.
//
// This process may be killed meanwhile, and another one get what it leaves. So each record is at rest, as it can be found by
// that one, but while it is changed.
func (e *Engine) restore(in *Inherited) (todo []signalled) {
	e.holder.held.Store(int64(len(in.Held)))
	good := make([]Held, 0, len(in.Held))
	held := make([]uint64, e.slab.slots()/64+1) // slots that have a descriptor
	for _, h := range in.Held {
		err := e.sound(h, held)
		if err == nil {
			good = append(good, h)
			continue
		}
		e.loseHeld(h, err)
	}
	bad := e.saved.Restore(func(yield func(uint32) bool) {
		for _, h := range good {
			if id := e.slab.at(h.Session.slot()).saved; id != 0 && !yield(id) {
				return
			}
		}
	})
	var s Session
	filter := func(f func(h Held) error) {
		good = slices.DeleteFunc(good, func(h Held) bool {
			r := e.slab.at(h.Session.slot())
			r.word.adopt()
			err := f(h)
			if err == nil {
				r.release() // nothing is pending: nobody else knows the session yet
			} else {
				held[h.Session.slot()/64] &^= 1 << (h.Session.slot() % 64)
				e.loseHeld(h, err)
			}
			return err != nil
		})
	}
	tlsUsed := make([]uint64, e.tlsSlots.Slots()/64+1)
	filter(func(h Held) error { return e.revive(h, bad, tlsUsed) })
	e.tlsSlots.Restore(func(slot uint32, state *tls13.State) bool {
		used := tlsUsed[slot/64]>>(slot%64)&1 != 0
		if !used {
			state.Wipe()
		}
		return used
	})
	e.survivor.Survey(func(yield func(Info) bool) {
		for _, h := range good {
			if !yield(e.infoOf(h.Session, e.slab.at(h.Session.slot()))) {
				return
			}
		}
	})
	filter(func(h Held) error {
		s.attach(e, h.Session.slot(), h.Session.gen(), nil)
		err := e.survivor.Survives(&s)
		if err == nil {
			return nil
		}
		s.endCompression()
		if s.x != nil {
			s.dropExtra()
		}
		if s.r.tls != 0 {
			e.giveTLS(s.r.tls)
		}
		return lost(LossProtocol, "%w", err)
	})
	e.slab.table.Restore(func(slot uint32, r *record) bool {
		if held[slot/64]>>(slot%64)&1 != 0 {
			return true
		}
		if w := r.word.inherit(); w.live {
			e.countLoss(r, unheld(w))
			r.word.end()
		}
		r.wipe()
		return false
	})
	for _, h := range good {
		r := e.slab.at(h.Session.slot())
		r.word.adopt()
		if evict := e.door.readmit(h.Session.slot(), r); evict != 0 {
			todo = append(todo, signalled{evict, bitEvict}) // there are more strangers than that process allowed
		}
		if mailbox := r.mailbox; mailbox != 0 {
			r.mailbox = 0
			e.lists.move(h.Session.slot(), r, mailbox)
		}
		s.attach(e, h.Session.slot(), h.Session.gen(), nil)
		s.arm()
		// What has arrived meanwhile is reported at once. Its errors are those of a wrong descriptor, which Check has excluded, and want of memory.
		if err := e.loop(h.Session.slot()).poller.Add(h.FD, conn.Key(h.Session)); err != nil {
			e.log.Error("cannot watch a connection", "remote", r.remote(), "error", err)
			todo = append(todo, signalled{h.Session, bitKill})
		}
		if r.mailbox != 0 && e.p.EventWanted(&s) {
			r.todo |= todoEvent // it may have changed meanwhile
		}
		if r.todo != 0 {
			todo = append(todo, signalled{h.Session, 0})
		}
		r.release()
	}
	e.live.Add(int64(len(good)))
	e.counts.restored.Add(uint64(len(good)))
	return todo
}

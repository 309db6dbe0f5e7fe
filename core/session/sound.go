package session

import (
	"errors"
	"slices"

	"github.com/roostmail/roost/core/conn"
)

// sound checks a record against what is known of its session, and notes its slot in held.
func (e *Engine) sound(h Held, held []uint64) error {
	slot := h.Session.slot()
	r := e.slab.at(slot)
	if r == nil || slot > e.slab.slots() {
		return lost(LossGeneration, "there is no slot %d", slot)
	}
	w := r.word.inherit()
	switch {
	case !w.live || w.gen != h.Session.gen() || held[slot/64]>>(slot%64)&1 != 0:
		return lost(LossGeneration, "slot %d holds generation %d, not %d", slot, w.gen, h.Session.gen())
	case w.busy:
		return lost(LossBusy, "the process before was working on it")
	case w.sum != r.sum():
		return lost(LossChecksum, "checksum %#x, not %#x", w.sum, r.sum())
	}
	if r.flags&^flagsKnown != 0 || r.todo&^todoKnown != 0 || r.mode > ModeHold ||
		r.flags&flagTLS != 0 && r.flags&flagStartTLS != 0 {
		return lost(LossRecord, "flags %#x, todo %#x, mode %d", r.flags, r.todo, r.mode)
	}
	if err := conn.Check(h.FD, r.remote()); errors.Is(err, conn.ErrGone) {
		return lost(LossGone, "%w", err)
	} else if err != nil {
		return lost(LossDescriptor, "%w", err)
	}
	held[slot/64] |= 1 << (slot % 64)
	return nil
}

// revive makes the session of a sound record one that can be run. The caller owns it.
func (e *Engine) revive(h Held, badSaved []uint32, tlsUsed []uint64) error {
	slot := h.Session.slot()
	r := e.slab.at(slot)
	r.fd = int32(h.FD)
	r.wheelNext, r.wheelPrev, r.mboxNext, r.mboxPrev = 0, 0, 0, 0
	r.wheelAt.Store(0)
	r.flags |= flagNoted | flagHeld
	hadExtra := r.flags&flagExtra != 0
	r.flags &^= flagExtra
	if hadExtra != (r.saved != 0) || (r.todo&(todoRun|todoLiteral) != 0 || r.flags&flagDeflate != 0) && !hadExtra {
		return lost(LossExtra, "it was not saved")
	}
	if err := e.checkTLS(r, tlsUsed); err != nil {
		return err
	}
	if hadExtra {
		if slices.Contains(badSaved, r.saved) {
			return lost(LossExtra, "its bytes are damaged")
		}
		var x extra
		if err := x.parse(e.saved.Append(nil, r.saved), e.survivor); err != nil {
			e.saved.Free(r.saved)
			return lost(LossExtra, "%w", err)
		}
		if _, _, _, ok := x.flow.input(); (r.flags&flagDeflate != 0) != ok {
			e.saved.Free(r.saved)
			return lost(LossExtra, "its compressed stream was not saved")
		}
		if x.flow != nil {
			e.compressed.Add(1)
		}
		e.flowBytes.Add(int64(len(x.flow)))
		r.flags |= flagExtra
		e.extras.count.Add(1)
	}
	if r.tls != 0 {
		tlsUsed[r.tls/64] |= 1 << (r.tls % 64)
	}
	return nil
}

// checkTLS checks that the session's protection can be taken up, if it has one.
func (e *Engine) checkTLS(r *record, used []uint64) error {
	switch {
	case r.flags&flagTLS == 0 && r.tls == 0:
		return nil
	case r.flags&flagTLS == 0 || r.tls == 0:
		return lost(LossTLS, "its state was not saved")
	case r.tls > e.tlsSlots.Slots() || used[r.tls/64]>>(r.tls%64)&1 != 0:
		return lost(LossTLS, "its state is another session's")
	}
	if err := e.tlsSlots.At(r.tls).Check(); err != nil {
		return lost(LossTLS, "%w", err)
	}
	return nil
}

// unheld says why a session is lost of which the keeper has no descriptor.
func unheld(w inherited) error {
	if w.busy {
		return lost(LossBusy, "the process before was working on it")
	}
	return lost(LossDescriptor, "the keeper has none")
}

// loseHeld ends a session that can not go on: its connection is closed, and the keeper told.
func (e *Engine) loseHeld(h Held, err error) {
	r := e.slab.at(h.Session.slot())
	if e.countLoss(r, err) != LossGeneration {
		r.word.end()
	}
	conn.Close(h.FD, false, true, nil)
	e.holder.drop(h.Session)
}

func (e *Engine) countLoss(r *record, err error) Loss {
	l := err.(*lostError) // lost makes all of them
	e.counts.lost[l.Loss].Add(1)
	remote := ""
	if r != nil && l.Loss != LossGeneration && l.Loss != LossBusy { // else it is another's, or half-written
		remote = r.remote().String()
	}
	e.log.Warn("a session of the process before can not go on", "reason", l.Loss.String(), "remote", remote, "error", l.err)
	return l.Loss
}

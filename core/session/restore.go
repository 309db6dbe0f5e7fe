package session

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/core/conn"
	"github.com/roostmail/roost/core/conn/tls13"
	"github.com/roostmail/roost/core/slab"
)

// Inherited is what another process, which has ended or whose sessions are frozen, has left.
type Inherited struct {
	Sessions, Saved, TLS int           // memfds (Tables), which the engine takes over
	Start                time.Duration // Engine.Start of that process
	MaxSessions          int           // Engine.MaxSessions of that process
	Held                 []Held        // descriptors that the keeper had, which the engine takes over

	// In place of the memfds, where tables are not in any (slab.Table.FD): those of that process, which does not use them any more.
	records *records
	saved   *slab.Blobs
	tls     *slab.Table[tls13.State]
}

// Loss is why an inherited session could not go on.
type Loss int

// Losses.
const (
	LossBusy       Loss = iota // that process was killed while it worked on the session
	LossGeneration             // the record is of another session than the descriptor
	LossChecksum               // the record was changed by somebody else
	LossRecord                 // the record's values make no sense
	LossDescriptor             // there is no descriptor, or it is not of the session's connection
	LossGone                   // the connection has ended meanwhile
	LossExtra                  // half-received input, unsent output or rare state that was not saved, or is damaged
	LossTLS                    // the protection's state does not open
	LossProtocol               // the protocol does not know the user, the mailbox or its version
	losses
)

var lossNames = [losses]string{"busy", "generation", "checksum", "record", "descriptor", "gone", "extra", "tls", "protocol"}

func (l Loss) String() string { return lossNames[l] }

// Losses lists all.
func Losses() []Loss {
	l := make([]Loss, losses)
	for i := range l {
		l[i] = Loss(i)
	}
	return l
}

// lostError is a Loss with its particulars.
type lostError struct {
	Loss
	err error
}

func (l *lostError) Error() string { return fmt.Sprintf("%v: %v", l.Loss, l.err) }

func lost(l Loss, format string, args ...any) error {
	return &lostError{l, fmt.Errorf(format, args...)}
}

// attachTables takes over the tables, or makes new ones.
func (e *Engine) attachTables(in *Inherited) (err error) {
	options := slab.Option(0)
	if e.cfg.Keeper != nil {
		options = slab.Shared
	}
	sessions := e.cfg.MaxSessions
	switch {
	case in == nil:
		e.slab, err = newRecords(sessions, options)
	case in.records != nil:
		e.slab, e.saved, e.tlsSlots = in.records, in.saved, in.tls
		return nil
	default:
		var t *slab.Table[record]
		t, err = slab.Attach[record](in.Sessions, max(sessions, in.MaxSessions), options)
		e.slab = &records{table: t}
	}
	if err != nil {
		return err
	}
	options |= slab.Secret // from here on
	if in == nil {
		e.tlsSlots, err = slab.New[tls13.State](TableTLS, sessions, options)
	} else {
		e.tlsSlots, err = slab.Attach[tls13.State](in.TLS, max(sessions, in.MaxSessions), options)
	}
	if err != nil || e.cfg.Keeper == nil {
		return err
	}
	if in == nil {
		e.saved, err = slab.NewBlobs(TableSaved, maxSavedCells, options) // there may be passwords in it
	} else {
		e.saved, err = slab.AttachBlobs(in.Saved, maxSavedCells, options)
	}
	return err
}

// maxSavedCells bounds the memory of saved extras, at 8 GiB.
const maxSavedCells = 1 << 28

// restore makes the inherited sessions this engine's own, before its loops run. It returns those that go on, which the caller owns, each with a task,
// and those that then have to go because there are more strangers than before.
func (e *Engine) restore(in *Inherited) (tasks []task, evicted []Handle) {
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
			err := f(h)
			if err != nil {
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
		if evict := e.door.readmit(h.Session.slot(), r); evict != 0 {
			evicted = append(evicted, evict)
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
			tasks = append(tasks, task{slot: h.Session.slot(), gen: h.Session.gen(), b: bitKill})
			continue
		}
		t := task{slot: h.Session.slot(), gen: h.Session.gen()}
		if r.mailbox != 0 {
			t.b = bitEvent // it may have changed meanwhile
		}
		tasks = append(tasks, t)
	}
	e.live.Add(int64(len(good)))
	e.counts.restored.Add(uint64(len(good)))
	e.holder.held.Store(int64(len(in.Held)))
	return tasks, evicted
}

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
	if r.flags&^flagsKnown != 0 || r.todo&^todoKnown != 0 || r.mode > ModeHold || int(r.state.TagLen) > len(r.state.Tag) ||
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

// revive makes the session of a sound record one that can be run.
func (e *Engine) revive(h Held, badSaved []uint32, tlsUsed []uint64) error {
	slot := h.Session.slot()
	r := e.slab.at(slot)
	r.word.adopt()
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
		x, err := parseExtra(e.saved.Append(nil, r.saved), e.survivor)
		if err != nil {
			e.saved.Free(r.saved)
			return lost(LossExtra, "%w", err)
		}
		if (r.flags&flagDeflate != 0) != (x.flow != nil) {
			e.saved.Free(r.saved)
			return lost(LossExtra, "its compressed stream was not saved")
		}
		if x.flow != nil {
			e.compressed.Add(1)
		}
		e.flowBytes.Add(int64(cap(x.flow)))
		r.flags |= flagExtra
		e.extras.account(x)
		e.extras.put(slot, x)
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

// bootTime is a clock that all processes share, and that nobody sets.
func bootTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // its only errors are those of a wrong clock or address
	return time.Duration(ts.Nano())
}

// Start returns the boot time (CLOCK_BOOTTIME) at which second 1 of the engine's clock began, which records count from.
func (e *Engine) Start() time.Duration { return bootTime() - e.clock().Sub(e.start) }

// MaxSessions returns how many sessions the table may hold.
func (e *Engine) MaxSessions() int { return e.cfg.MaxSessions }

// Names of the tables.
const (
	TableSessions = "roost sessions"
	TableSaved    = "roost session extras"
	TableTLS      = "roost TLS"
)

// Table is a table that outlives the process.
type Table struct {
	Name string
	FD   int // memfd, the table's own
}

// Tables returns the tables that another process needs, with Start and MaxSessions, to go on with the sessions. Without a keeper there are none.
func (e *Engine) Tables() []Table {
	if e.cfg.Keeper == nil {
		return nil
	}
	return []Table{{TableSessions, e.slab.table.FD()}, {TableSaved, e.saved.FD()}, {TableTLS, e.tlsSlots.FD()}}
}

// Layout is what records, and what they refer to, look like. Processes with different ones can not take over each other's sessions.
const Layout = "sessions 1: record 128, extra 2, TLS 1.3 208"

// close closes what an engine could not take over.
func (in *Inherited) close() {
	for _, h := range in.Held {
		unix.Close(h.FD)
	}
}

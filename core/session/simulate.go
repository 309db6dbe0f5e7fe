package session

import (
	"errors"
	"fmt"

	"github.com/roostmail/roost/core/conn/tls13"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/slab"
)

// Simulation is the tables of an engine that has a keeper, filled without sockets: all that it holds for so many sleeping sessions,
// at a size for which a machine has no descriptors. It is for benchmarks.
type Simulation struct {
	e     *Engine
	wheel *wheel
}

// Sleeper is one session of a Simulation.
type Sleeper struct {
	TLS   bool   // protected by TLS 1.3
	Input []byte // of a command that was received in part
	Extra any    // Session.SetExtra; nil = none
}

var errSimulation = errors.New("session: the table is full")

// Simulate fills the tables with n sessions, as of describes each. Every one has a mailbox of its own and a deadline within half an hour. p is the protocol
// whose extras they are. It fails when the system refuses the memory. The caller closes the result.
func Simulate(n int, p Survivor, of func(i int) Sleeper) (sim *Simulation, err error) {
	e := &Engine{survivor: p}
	sim = &Simulation{e: e}
	defer func() {
		if err != nil {
			sim.Close()
		}
	}()
	if e.slab, err = newRecords(n, slab.Shared); err != nil {
		return sim, err
	}
	if e.tlsSlots, err = slab.New[tls13.State](TableTLS, n, slab.Shared|slab.Secret); err != nil {
		return sim, err
	}
	if e.saved, err = slab.NewBlobs(TableSaved, maxSavedCells, slab.Shared|slab.Secret); err != nil {
		return sim, err
	}
	if e.lists, err = newLists(e.slab); err != nil {
		return sim, err
	}
	sim.wheel = &wheel{slab: e.slab, wake: func() {}}
	var protection tls13.State
	if err := protection.Start(0x1301, make([]byte, 32), make([]byte, 32), 0); err != nil { // TLS_AES_128_GCM_SHA256
		return sim, err
	}
	for i := range n {
		if err := sim.add(i, of(i), &protection); err != nil {
			return sim, fmt.Errorf("session %d of %d: %w", i, n, err)
		}
	}
	return sim, nil
}

// add puts a session to sleep, with a protection like that.
func (sim *Simulation) add(i int, sl Sleeper, protection *tls13.State) error {
	e := sim.e
	slot, r, err := e.slab.take()
	if err == nil && slot == 0 {
		err = errSimulation
	}
	if err != nil {
		return err
	}
	gen := r.word.create()
	r.flags = flagNoted | flagHeld
	if sl.TLS {
		at, state, err := e.tlsSlots.Take()
		if err == nil && at == 0 {
			err = errSimulation
		}
		if err != nil {
			return err
		}
		*state = *protection
		r.tls, r.flags = at, r.flags|flagTLS
	}
	if len(sl.Input) > 0 || sl.Extra != nil {
		x := e.extras.borrow()
		x.in, x.user = append(x.in, sl.Input...), sl.Extra
		x.framer.Next(x.in, imapwire.FrameLimits{Line: 1 << 16, Command: 1 << 20})
		s := Session{e: e, slot: slot, gen: gen, r: r, x: x}
		if s.keep(savedAsleep); r.filed() {
			return errSimulation
		}
	}
	e.lists.move(slot, r, uint32(i+1))
	sim.wheel.set(slot, r, uint32(1+i%1800))
	r.release()
	return nil
}

// Extras returns how many sessions have something beside their record.
func (sim *Simulation) Extras() int { return int(sim.e.extras.count.Load()) }

// TLS returns how many sessions are protected.
func (sim *Simulation) TLS() int { return sim.e.tlsSlots.Used() }

// Close gives the memory back.
func (sim *Simulation) Close() {
	e := sim.e
	if e.slab != nil {
		e.slab.close()
	}
	if e.tlsSlots != nil {
		e.tlsSlots.Close()
	}
	if e.saved != nil {
		e.saved.Close()
	}
	sim.e = &Engine{} // what is in Go's heap
}

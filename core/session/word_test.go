package session

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// The model of word: sessions in a few slots, signalled by many, owned by one. What an owner does is written
// to plain fields, so that the race detector sees two owners, and every signal leaves a trace
// that the owner must have followed in the end. Sessions are also frozen, and adopted as by the next process.

type modelSession struct {
	slot int
	gen  uint32
	want [16]atomic.Uint32 // by bit number: signals that were about to be sent

	// The owner's.
	seen    [16]uint32 // want, when the owner last got the bit
	ended   bool
	parks   int
	visitor int // changed and changed back by whoever believes to be the owner
}

type modelSlot struct {
	word word
	cur  *modelSession // the owner's
}

type model struct {
	t     *testing.T
	slots [3]modelSlot
	known [3]atomic.Pointer[modelSession] // what signallers aim at
	queue chan *modelSession              // handed over to workers, owned
	steps atomic.Int64
	stale atomic.Int64
	ends  atomic.Int64
	moved atomic.Int64
	tasks sync.WaitGroup // owned sessions that are not asleep
}

const modelSteps = 1_000_000

var modelBits = []bits{bitRead, bitWrite, bitHangup, bitEvent, bitTimer, bitShutdown, bitKill}

func bitNumber(b bits) (n int) {
	for b>>8 > 1 {
		b >>= 1
		n++
	}
	return n
}

// own checks that the caller is the only owner of m and that the slot holds m's session.
func (md *model) own(m *modelSession, b bits) {
	s := &md.slots[m.slot]
	if s.cur != m || m.ended || s.word.generation() != m.gen {
		md.t.Errorf("slot %d: owner of generation %d finds another session", m.slot, m.gen)
	}
	m.visitor++
	if m.visitor != 1 {
		md.t.Errorf("slot %d: %d owners", m.slot, m.visitor)
	}
	for _, bit := range modelBits {
		if b&bit != 0 {
			n := bitNumber(bit)
			m.seen[n] = m.want[n].Load()
		}
	}
	m.visitor--
}

// create starts the next session in a slot that the caller owns or that is free; it is owned by the caller.
func (md *model) create(slot int) *modelSession {
	s := &md.slots[slot]
	m := &modelSession{slot: slot, gen: s.word.create()}
	s.cur = m
	md.known[slot].Store(m)
	return m
}

// turn is what an owner does: it may take more bits, end the session and start the next, hand it to a worker, and else parks it.
func (md *model) turn(rnd *rand.Rand, m *modelSession, b bits, worker bool) {
	for {
		md.steps.Add(1)
		md.own(m, b)
		switch s := &md.slots[m.slot]; {
		case b&bitKill != 0 && rnd.IntN(4) == 0:
			m.ended = true
			s.word.end()
			md.ends.Add(1)
			m, b = md.create(m.slot), 0
			continue
		case !worker && rnd.IntN(3) == 0: // needs a worker
			select {
			case md.queue <- m:
				return
			default: // the workers are as busy as the test lets them be: the loop goes on
			}
		case worker && rnd.IntN(2) == 0: // waits for its client
			s.word.run()
			b = s.word.take(bitWrite | bitKill)
			continue
		}
		m.parks++
		if b = md.slots[m.slot].word.release(0); b == 0 {
			md.tasks.Done()
			return
		}
	}
}

// signal sends one bit, as a loop, a timer or an event would, and runs the session if it slept.
func (md *model) signal(rnd *rand.Rand, m *modelSession, bit bits) {
	n := bitNumber(bit)
	m.want[n].Add(1)
	md.tasks.Add(1)
	out, b := md.slots[m.slot].word.signal(m.gen, bit)
	if out == signalOwned {
		if b != bit {
			md.t.Errorf("slot %d slept with %#x pending", m.slot, b&^bit)
		}
		md.turn(rnd, m, b, false)
		return
	}
	md.tasks.Done()
	if out == signalStale {
		md.stale.Add(1)
	} else if rnd.IntN(2) == 0 {
		runtime.Gosched() // let the owner have it, or else most signals only meet what is pending already
	}
}

// move hands a sleeping session over to the next process, and goes on there: signals that meet it frozen do nothing, and whoever
// adopts it looks at everything anew.
func (md *model) move(rnd *rand.Rand, m *modelSession) {
	w := &md.slots[m.slot].word
	md.tasks.Add(1)
	out, b := w.signal(m.gen, 0)
	if out != signalOwned {
		md.tasks.Done()
		return
	}
	md.own(m, b)
	if b = w.freeze(0); b != 0 { // something happened meanwhile
		md.turn(rnd, m, b, false)
		return
	}
	for range rnd.IntN(4) {
		runtime.Gosched()
	}
	bit := modelBits[rnd.IntN(len(modelBits))]
	m.want[bitNumber(bit)].Add(1)
	if out, _ := w.signal(m.gen, bit); out != signalStale {
		md.t.Errorf("slot %d: a signal to a frozen session gave %d", m.slot, out)
	}
	w.adopt()
	md.own(m, pendingMask)
	md.moved.Add(1)
	md.turn(rnd, m, 0, false)
}

func TestOwnershipModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	md := &model{t: t, queue: make(chan *modelSession, 2)}
	for slot := range md.slots {
		m := md.create(slot)
		md.tasks.Add(1)
		md.turn(rand.New(rand.NewPCG(seed, 99)), m, 0, true)
	}
	var signallers, workers sync.WaitGroup
	for g := range 4 {
		signallers.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(g)))
			var old [8]*modelSession // handles of sessions that may have ended long ago
			for md.steps.Load() < modelSteps {
				md.steps.Add(1)
				m := md.known[rnd.IntN(len(md.slots))].Load()
				if i := rnd.IntN(64); i < len(old) {
					m, old[i] = old[i], m
				}
				switch {
				case m == nil:
				case rnd.IntN(16) == 0:
					md.move(rnd, m)
				default:
					md.signal(rnd, m, modelBits[rnd.IntN(len(modelBits))])
				}
			}
		})
	}
	for g := range 2 {
		workers.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(100+g)))
			for m := range md.queue {
				md.turn(rnd, m, 0, true)
			}
		})
	}
	signallers.Wait()
	md.tasks.Wait() // whoever owns a session still runs it to sleep
	close(md.queue)
	workers.Wait()
	md.check()
}

// check looks at the sessions when nothing moves any more.
func (md *model) check() {
	for slot := range md.slots {
		m := md.known[slot].Load()
		if b := md.slots[slot].word.v.Load() & (1<<32 - 1); b != 0 {
			md.t.Errorf("slot %d sleeps with word bits %#x", slot, b)
		}
		for _, bit := range modelBits {
			if n := bitNumber(bit); m.seen[n] != m.want[n].Load() {
				md.t.Errorf("slot %d: bit %d was lost: %d signals, the owner has seen %d", slot, n, m.want[n].Load(), m.seen[n])
			}
		}
	}
	if md.ends.Load() == 0 || md.stale.Load() == 0 || md.moved.Load() == 0 {
		md.t.Errorf("nothing was tried: %d sessions ended, %d moved, %d stale signals", md.ends.Load(), md.moved.Load(), md.stale.Load())
	}
	md.t.Logf("%d steps, %d sessions ended, %d moved, %d stale signals", md.steps.Load(), md.ends.Load(), md.moved.Load(), md.stale.Load())
}

func TestGenerationSkipsZero(t *testing.T) {
	var w word
	w.v.Store(uint64(1<<32-1) << genShift)
	if gen := w.create(); gen != 1 {
		t.Errorf("generation %d after the last one", gen)
	}
}

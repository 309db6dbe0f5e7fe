package session

import "sync/atomic"

// word is the state of one slot of the table, in one atomic 64-bit word: who may touch the record, what has
// happened meanwhile, and which session (generation) the slot holds.
//
//	bits   content
//	 0     busy: somebody owns the record
//	 1     running: the owner is a worker listed in Engine.tasks, which wants to be nudged about new bits
//	 2     free: the slot holds no session
//	 3     frozen: nobody owns the record, and nobody in this process may any more (freeze.go)
//	 4     intact: it is busy, but its owner, who may wait for a worker, has not changed the record yet (touch)
//	 8-15  pending: what has happened since an owner last looked (bits)
//	16-31  checksum of the record as the owner left it (record.sum), 0 while it is busy and not intact
//	32-63  generation, 1 to 2^32-1; a slot's generation changes when its session ends
//
// It is the only thing about a record that anybody but its owner may read. Its rules:
//
//  1. signal adds pending bits. If nobody owned the record, the caller becomes the owner and gets
//     the pending bits at once; else the owner gets them at the latest from release.
//  2. release gives the record up only when no bit is pending. So no bit is ever lost, and none is seen twice.
//  3. Every change but create and end compares the generation: a handle of an ended session does nothing.
//  4. A process that finds the word busy and not intact in a table that another one has left knows that the record may be half-written;
//     else the checksum is that of the record. An owner calls touch before the first change.
//  5. What an owner wrote to the record before release is seen by the next owner (the operations are
//     sequentially consistent).
type word struct{ v atomic.Uint64 }

// bits are things that happened to a session.
type bits uint32

const (
	wordBusy    = 1 << 0
	wordRunning = 1 << 1
	wordFree    = 1 << 2
	wordFrozen  = 1 << 3
	wordIntact  = 1 << 4

	bitRead     bits = 1 << 8  // there may be input
	bitWrite    bits = 1 << 9  // the socket may take output again
	bitHangup   bits = 1 << 10 // the client will send no more
	bitEvent    bits = 1 << 11 // the session's mailbox has a new version
	bitTimer    bits = 1 << 12 // a time that was set has come
	bitShutdown bits = 1 << 13 // the server drains
	bitKill     bits = 1 << 14 // end it: the connection failed, or the engine closes

	bitEvict bits = 1 << 15 // too many have not logged in

	pendingMask = 0xff << 8
	sumShift    = 16
	sumMask     = 0xffff << sumShift
	genShift    = 32
)

// outcome is what became of a signal.
type outcome uint8

const (
	signalStale   outcome = iota // that session has ended
	signalOwned                  // the caller is now the owner
	signalPending                // the owner will see it
	signalNudge                  // the same; the owner is a worker and may be waiting
)

// create starts the slot's next session: it is owned by the caller, and nothing is pending. The caller has taken the
// slot from the free list. The result is the session's generation.
func (w *word) create() uint32 {
	gen := uint32(w.v.Load()>>genShift) + 1
	if gen == 0 { // after 2^32 sessions in one slot
		gen = 1
	}
	w.v.Store(uint64(gen)<<genShift | wordBusy)
	return gen
}

// end is the last act of an owner. From here on no signal with the session's generation has an effect. The
// slot stays busy, so that nothing but create can bring it back.
func (w *word) end() {
	gen := uint32(w.v.Load()>>genShift) + 1
	w.v.Store(uint64(gen)<<genShift | wordBusy | wordFree)
}

// signal adds b to what has happened to the session of generation gen. As signalOwned, the
// result carries everything that was pending, b included.
func (w *word) signal(gen uint32, b bits) (outcome, bits) {
	for {
		old := w.v.Load()
		switch {
		case uint32(old>>genShift) != gen:
			return signalStale, 0
		case old&wordFrozen != 0: // whoever has the record next looks at everything anew
			return signalStale, 0
		case old&wordBusy == 0:
			if w.v.CompareAndSwap(old, uint64(gen)<<genShift|wordBusy|wordIntact|old&sumMask) {
				return signalOwned, bits(old&pendingMask) | b
			}
		default:
			if old&uint64(b) == uint64(b) && old&wordRunning == 0 {
				return signalPending, 0
			}
			if w.v.CompareAndSwap(old, old|uint64(b)) {
				if old&wordRunning != 0 {
					return signalNudge, 0
				}
				return signalPending, 0
			}
		}
	}
}

// touch tells that the owner is going to change the record.
func (w *word) touch() { w.v.And(^uint64(wordIntact | sumMask)) }

// take hands pending bits of mask to the owner, who stays the owner.
func (w *word) take(mask bits) bits {
	old := w.v.And(^uint64(mask))
	return bits(old) & mask
}

// run marks the owner as a worker that can be nudged.
func (w *word) run() { w.v.Or(wordRunning) }

// release gives the record up and returns 0, or returns what is pending and leaves the caller the owner.
// Either way the worker's mark is gone when the record is given up, and stays when it is not. sum is the record's checksum.
func (w *word) release(sum uint16) bits { return w.leave(sum, 0) }

// freeze is release, after which nobody can become the owner.
func (w *word) freeze(sum uint16) bits { return w.leave(sum, wordFrozen) }

func (w *word) leave(sum uint16, mark uint64) bits {
	for {
		old := w.v.Load()
		if p := bits(old) & pendingMask; p != 0 {
			if w.v.CompareAndSwap(old, old&^pendingMask) {
				return p
			}
			continue
		}
		if w.v.CompareAndSwap(old, old&^(wordBusy|wordRunning|wordIntact|sumMask)|uint64(sum)<<sumShift|mark) {
			return 0
		}
	}
}

// generation returns the generation of the session in the slot.
func (w *word) generation() uint32 { return uint32(w.v.Load() >> genShift) }

// current returns the generation of the session in the slot, and whether there is one.
func (w *word) current() (gen uint32, live bool) {
	v := w.v.Load()
	return uint32(v >> genShift), v>>genShift != 0 && v&wordFree == 0
}

// inherited is what a word says in a table that another process has left.
type inherited struct {
	gen  uint32
	live bool   // the slot holds a session
	busy bool   // somebody may have been in the midst of changing the record
	sum  uint16 // of the record, unless busy
}

func (w *word) inherit() inherited {
	v := w.v.Load()
	gen := uint32(v >> genShift)
	return inherited{gen: gen, live: gen != 0 && v&wordFree == 0, busy: v&(wordBusy|wordIntact) == wordBusy, sum: uint16(v >> sumShift)}
}

// adopt makes the caller the owner of an inherited session, of which nothing is pending.
func (w *word) adopt() { w.v.Store(w.v.Load()>>genShift<<genShift | wordBusy) }

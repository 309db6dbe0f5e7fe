package session

// payer is who a worker's time is charged to: a user, or a session that has not logged in. It exists while it has tasks.
type payer struct {
	key     uint64
	tasks   int             // that wait, run, or wait in the middle
	running int             // of these, with a slot
	waits   [2]ring[waiter] // for a slot, by class
	listed  [2]bool         // in payers.turns
}

// guest reports whether it is a session that has not logged in.
func (y *payer) guest() bool { return y.key>>32 == 1 }

// turn is where in payers.turns it waits with a class.
func (y *payer) turn(class int) int {
	if y.guest() {
		class += len(y.waits)
	}
	return class
}

// waiter is a task, or a worker in the middle of one, that waits for a slot.
type waiter struct {
	task    task
	w       *worker // nil: the task was not begun
	resumes bool    // its client, for whom it had given its slot away, is ready
}

// class separates those whose client was slow from the rest: the classes take turns, so neither can starve the other.
func (w waiter) class() int {
	if w.resumes {
		return 1
	}
	return 0
}

// payerOf names the payer of a session's task.
func payerOf(slot uint32, st *State) uint64 {
	if st.User != 0 {
		return uint64(st.User)
	}
	return 1<<32 | uint64(slot)
}

// payerRestored is who pays for what sessions that go on from another process have to do at once: all of them together are as one user, so that
// nobody who sends a command waits behind them.
const payerRestored = 1 << 33

// payers are the payers with tasks, and the order in which those that wait have their turns. The pool's lock guards it.
//
// Sessions that have not logged in have their turns apart, and no more than guestShare slots together: however many logins wait for an auth plugin
// that does not answer, the commands of those who are logged in go on.
type payers struct {
	m          map[uint64]*payer
	turns      [4]ring[*payer] // by class, after them those of guests; a payer that waits and has less than its share is in it once
	class      int             // whose turn it is
	spare      []*payer
	guestShare int
	guests     int // slots that guests have
}

// may reports whether a payer gets a free slot.
func (ps *payers) may(y *payer, share int) bool {
	return y.running < share && (!y.guest() || ps.guests < ps.guestShare)
}

// enter gives the payer a slot, for a waiter of a class: it is the turn of the next.
func (ps *payers) enter(y *payer, class int) {
	y.running++
	if y.guest() {
		ps.guests++
	}
	ps.class = y.turn(class) + 1
}

// maxSparePayers is how many are kept for reuse.
const maxSparePayers = 256

// hold returns the payer with one more task.
func (ps *payers) hold(key uint64) *payer {
	y := ps.m[key]
	if y == nil {
		if n := len(ps.spare); n > 0 {
			y, ps.spare = ps.spare[n-1], ps.spare[:n-1]
		} else {
			y = new(payer)
		}
		y.key = key
		if ps.m == nil {
			ps.m = make(map[uint64]*payer)
		}
		ps.m[key] = y
	}
	y.tasks++
	return y
}

// drop ends one of the payer's tasks.
func (ps *payers) drop(y *payer) {
	if y.tasks--; y.tasks > 0 {
		return
	}
	delete(ps.m, y.key)
	if len(ps.spare) == maxSparePayers || y.waits[0].large() || y.waits[1].large() {
		return
	}
	ps.spare = append(ps.spare, y)
}

// queue makes w wait for a slot.
func (ps *payers) queue(y *payer, w waiter, share int) {
	y.waits[w.class()].push(w)
	ps.list(y, share)
}

// list gives the payer its place among those that take turns, if it waits and has less than its share.
func (ps *payers) list(y *payer, share int) {
	if y.running >= share {
		return
	}
	for c := range y.waits {
		if y.waits[c].len() > 0 && !y.listed[c] {
			y.listed[c] = true
			ps.turns[y.turn(c)].push(y)
		}
	}
}

// leave takes a slot from the payer.
func (ps *payers) leave(y *payer, share int) {
	y.running--
	if y.guest() {
		ps.guests--
	}
	ps.list(y, share)
}

// next returns who gets a free slot, counted as running. The payer of a waiter that comes next goes behind the others.
func (ps *payers) next(share int) (*payer, waiter, bool) {
	for i := range ps.turns {
		turn := (ps.class + i) % len(ps.turns)
		for ps.turns[turn].len() > 0 {
			c := turn
			if c >= len(ps.turns)/2 {
				if ps.guests >= ps.guestShare {
					break
				}
				c -= len(ps.turns) / 2
			}
			y := ps.turns[turn].pop()
			y.listed[c] = false
			if y.running >= share || y.waits[c].len() == 0 {
				continue // leave lists it again
			}
			w := y.waits[c].pop()
			ps.enter(y, c)
			ps.list(y, share)
			return y, w, true
		}
	}
	return nil, waiter{}, false
}

package mailbox

import "fmt"

// HoldTurn takes the turn to refresh m and returns what gives it back.
func HoldTurn(m *Mailbox) (release func()) {
	m.turn <- struct{}{}
	return func() { <-m.turn }
}

// Unclaim ends what an owner has claimed.
func Unclaim(m *Mailbox, owner uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unclaim(owner)
}

// Sound returns what of the columns and counts of a view does not fit together.
func Sound(v *View) error {
	l := &v.chunkList
	if len(l.before) != len(l.chunks) || len(l.lasts) != len(l.chunks) {
		return fmt.Errorf("%d chunks, %d starts, %d ends", len(l.chunks), len(l.before), len(l.lasts))
	}
	var before, unseen, uid uint32
	for i, c := range l.chunks {
		n := c.len()
		if n == 0 || n > 2*chunkSize || len(c.flags) != n || len(c.modseqs) != n {
			return fmt.Errorf("chunk %d has %d UIDs, %d flags, %d modseqs", i, n, len(c.flags), len(c.modseqs))
		}
		if l.before[i] != before || l.lasts[i] != c.last() {
			return fmt.Errorf("chunk %d comes after %d messages and ends with UID %d; noted are %d and %d", i, before, c.last(), l.before[i], l.lasts[i])
		}
		var counted chunk
		for j, u := range c.uids {
			if u <= uid {
				return fmt.Errorf("UID %d comes after %d", u, uid)
			}
			uid = u
			counted.tally(c.flags[j], c.modseqs[j], v.table)
		}
		if counted.unseen != c.unseen || counted.deleted != c.deleted || counted.highest != c.highest {
			return fmt.Errorf("chunk %d: %d unseen, %d deleted, modseq %d; noted are %d, %d, %d", i, counted.unseen, counted.deleted, counted.highest, c.unseen, c.deleted, c.highest)
		}
		before, unseen = before+uint32(n), unseen+c.unseen
	}
	if l.count != before || l.unseen != unseen {
		return fmt.Errorf("%d messages, %d unseen; noted are %d and %d", before, unseen, l.count, l.unseen)
	}
	return nil
}

package mailbox

import (
	"slices"

	"github.com/roostmail/roost/core/backend"
)

// chunkSize is the number of messages up to which a chunk grows. A chunk that a
// rebuilt view made larger is split at twice this size.
const chunkSize = 1024

// record is one message.
type record struct {
	uid    uint32
	flags  FlagSetID
	modseq uint64
}

// chunk is a run of messages, ascending by UID, never empty inside a View, where
// it is immutable. Its columns may share their spare capacity with the last chunk
// of the next version, which grows into it: see chunk.grow.
type chunk struct {
	uids    []uint32
	flags   []FlagSetID
	modseqs []uint64
	unseen  uint32 // messages without \Seen
	deleted uint32 // messages with \Deleted
	highest uint64 // of modseqs
}

func (c *chunk) len() int            { return len(c.uids) }
func (c *chunk) last() uint32        { return c.uids[len(c.uids)-1] }
func (c *chunk) record(i int) record { return record{c.uids[i], c.flags[i], c.modseqs[i]} }

// push appends a message in place. The caller owns c.
func (c *chunk) push(r record, t *flagTable) {
	c.uids = append(c.uids, r.uid)
	c.flags = append(c.flags, r.flags)
	c.modseqs = append(c.modseqs, r.modseq)
	c.tally(r.flags, r.modseq, t)
}

// tally counts a message in.
func (c *chunk) tally(flags FlagSetID, modseq uint64, t *flagTable) {
	system := t.latest(flags).System
	c.unseen += uint32(system&backend.FlagSeen/backend.FlagSeen ^ 1)
	c.deleted += uint32(system & backend.FlagDeleted / backend.FlagDeleted)
	c.highest = max(c.highest, modseq)
}

// grow returns a copy of c, owned by the caller, that shares its columns. Only the last chunk of
// the newest version may be grown, once: what is pushed then lies beyond the end of every
// older version's columns, where nobody looks.
func (c *chunk) grow() *chunk {
	g := *c
	return &g
}

// slice returns the messages [from, to) without copying them. The result has no spare capacity.
func (c *chunk) slice(from, to int, t *flagTable) *chunk {
	s := &chunk{uids: c.uids[from:to:to], flags: c.flags[from:to:to], modseqs: c.modseqs[from:to:to]}
	s.count(t)
	return s
}

// count sets what is derived from the columns.
func (c *chunk) count(t *flagTable) {
	c.unseen, c.deleted, c.highest = 0, 0, 0
	for i, f := range c.flags {
		c.tally(f, c.modseqs[i], t)
	}
}

// find returns the index of the first message with a UID of at least uid.
func (c *chunk) find(uid uint32) int {
	i, _ := slices.BinarySearch(c.uids, uid)
	return i
}

// writer puts together the chunks of a view, in order.
type writer struct {
	t    *flagTable
	out  []*chunk
	open *chunk // being filled, owned; not in out
}

// keep takes over a whole chunk.
func (w *writer) keep(c *chunk) {
	w.flush()
	w.out = append(w.out, c)
}

// put appends one message.
func (w *writer) put(r record) {
	if w.open == nil {
		w.open = &chunk{}
	} else if w.open.len() >= chunkSize {
		w.flush()
		w.open = &chunk{}
	}
	w.open.push(r, w.t)
}

// flush ends the chunk being filled. A small one is joined with a small one before it, so that
// expunging does not leave many tiny chunks.
func (w *writer) flush() {
	c := w.open
	w.open = nil
	if c == nil || c.len() == 0 {
		return
	}
	if n := len(w.out); n > 0 && w.out[n-1].len()+c.len() <= chunkSize/2 {
		w.out[n-1] = join(w.out[n-1], c, w.t)
		return
	}
	w.out = append(w.out, c)
}

func join(a, b *chunk, t *flagTable) *chunk {
	j := &chunk{}
	for _, c := range []*chunk{a, b} {
		for i := range c.uids {
			j.push(c.record(i), t)
		}
	}
	return j
}

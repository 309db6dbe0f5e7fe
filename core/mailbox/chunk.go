package mailbox

import (
	"slices"

	"github.com/roostmail/roost/core/backend"
)

// chunkSize is the number of messages up to which a chunk grows. In a rebuilt view one
// may have up to twice as many.
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

// tallyFrom counts what is in a copy of old by what was taken out of it and what was put in.
func (c *chunk) tallyFrom(old, out, in *chunk) {
	c.unseen, c.deleted, c.highest = old.unseen-out.unseen+in.unseen, old.deleted-out.deleted+in.deleted, max(old.highest, in.highest)
	if c.highest > in.highest && c.highest == out.highest {
		c.highest = 0
		for _, m := range c.modseqs {
			c.highest = max(c.highest, m)
		}
	}
}

// extend appends the messages [from, to) of another chunk in place, uncounted. The caller owns c.
func (c *chunk) extend(of *chunk, from, to int) {
	c.uids = append(c.uids, of.uids[from:to]...)
	c.flags = append(c.flags, of.flags[from:to]...)
	c.modseqs = append(c.modseqs, of.modseqs[from:to]...)
}

// newChunk returns a chunk that has room for n messages.
func newChunk(n int) *chunk {
	return &chunk{uids: make([]uint32, 0, n), flags: make([]FlagSetID, 0, n), modseqs: make([]uint64, 0, n)}
}

// without returns a copy of c without the messages that are in uids, ascending, and these. The copy may be empty.
func (c *chunk) without(uids []uint32, t *flagTable) (n *chunk, gone []record) {
	n = newChunk(c.len())
	from := 0
	var less chunk
	for _, uid := range uids {
		i := c.find(uid)
		if i == c.len() || c.uids[i] != uid {
			continue
		}
		n.extend(c, from, i)
		from = i + 1
		less.tally(c.flags[i], c.modseqs[i], t)
		gone = append(gone, c.record(i))
	}
	n.extend(c, from, c.len())
	n.tallyFrom(c, &less, &chunk{})
	return n, gone
}

// with returns a copy of c with messages that it does not have, ascending.
func (c *chunk) with(rs []record, t *flagTable) *chunk {
	n := newChunk(c.len() + len(rs))
	n.unseen, n.deleted, n.highest = c.unseen, c.deleted, c.highest
	from := 0
	for _, r := range rs {
		i := c.find(r.uid)
		n.extend(c, from, i)
		n.push(r, t)
		from = i
	}
	n.extend(c, from, c.len())
	return n
}

// find returns the index of the first message with a UID of at least uid.
func (c *chunk) find(uid uint32) int {
	i, _ := slices.BinarySearch(c.uids, uid)
	return i
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

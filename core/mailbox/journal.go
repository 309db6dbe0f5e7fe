package mailbox

import (
	"slices"

	"github.com/emersion/go-imap/v2"
)

// journal holds the steps from version base to the current one, and counts the
// sessions at each version. It is guarded by Mailbox.mu.
type journal struct {
	base   uint64   // oldest version that can be rebuilt
	deltas []*delta // deltas[i] leads from version base+i to base+i+1
	pins   []uint32 // pins[i] sessions stand at version base+i; one longer than deltas
	bytes  int      // sum of the deltas' sizes
	limit  int      // of bytes
}

func newJournal(version uint64, limit int) journal {
	return journal{base: version, pins: []uint32{0}, limit: limit}
}

// current returns the newest version.
func (j *journal) current() uint64 { return j.base + uint64(len(j.deltas)) }

// has reports whether a version can be rebuilt.
func (j *journal) has(version uint64) bool { return version >= j.base && version <= j.current() }

func (j *journal) add(d *delta) {
	j.deltas = append(j.deltas, d)
	j.pins = append(j.pins, 0)
	j.bytes += d.size()
	j.trim()
}

// pin counts a session in at a version.
func (j *journal) pin(version uint64) {
	if j.has(version) {
		j.pins[version-j.base]++
	}
}

// unpin counts a session out. A version that was dropped is not counted any more.
func (j *journal) unpin(version uint64) {
	if j.has(version) && j.pins[version-j.base] > 0 {
		j.pins[version-j.base]--
		j.trim()
	}
}

// trim drops what no session needs. If there is more than the limit, it forgets which messages' flags changed, oldest first, and then
// whole steps, whose sessions can not go on.
func (j *journal) trim() {
	j.drop(func(n, _ int) bool { return j.pins[n] == 0 })
	for _, d := range j.deltas {
		if j.bytes <= j.limit {
			return
		}
		j.bytes -= d.coarsen()
	}
	j.drop(func(n, bytes int) bool { return j.pins[n] == 0 || bytes > j.limit })
}

// drop drops the oldest steps, as long as useless says so of number n, with so many bytes from there on.
func (j *journal) drop(useless func(n, bytes int) bool) {
	n, bytes := 0, j.bytes
	for n < len(j.deltas) && useless(n, bytes) {
		bytes -= j.deltas[n].size()
		n++
	}
	if n == 0 {
		return
	}
	j.deltas = slices.Delete(j.deltas, 0, n)
	j.pins = slices.Delete(j.pins, 0, n)
	j.base += uint64(n)
	j.bytes = bytes
}

// between returns the steps from a version, which the journal must have, to another.
func (j *journal) between(from, to uint64) []*delta {
	return j.deltas[from-j.base : to-j.base]
}

// rebuild returns the view at a version before the current one, cur.
func (j *journal) rebuild(cur *View, version uint64) *View {
	steps := j.between(version, cur.Version)
	limits := steps[0].limits
	old := *cur
	old.Version = version
	old.UIDNext, old.FirstRecent, old.HighestModSeq = limits.uidNext, limits.firstRecent, limits.highestModSeq
	n := min(limits.keywords, len(cur.Keywords))
	old.Keywords = cur.Keywords[:n:n]
	old.chunkList = unexpunge(cur, expungedBelow(steps, limits.uidNext), limits.uidNext)
	return &old
}

// expungedBelow returns what was expunged in steps of the messages that existed
// before them, ascending.
func expungedBelow(steps []*delta, uidNext imap.UID) []record {
	var rs []record
	parts := 0
	for _, d := range steps {
		n := len(rs)
		for _, r := range d.expunged {
			if imap.UID(r.uid) < uidNext {
				rs = append(rs, r)
			}
		}
		if len(rs) > n {
			parts++
		}
	}
	if parts > 1 {
		slices.SortFunc(rs, func(a, b record) int { return int(int64(a.uid) - int64(b.uid)) })
	}
	return rs
}

// unexpunge returns the messages of v with rs put back and without what is at or above uidNext.
func unexpunge(v *View, rs []record, uidNext imap.UID) chunkList {
	w := rewriting(&v.chunkList, v.table)
	kept := 0
	for {
		uid := uint32(uidNext)
		if len(rs) > 0 {
			uid = min(uid, rs[0].uid)
		}
		i := v.find(kept, uid)
		w.keep(&v.chunkList, kept, i)
		if i == len(v.chunks) {
			break
		}
		c := v.chunks[i]
		w.replace(c)
		kept = i + 1
		back := takeRecords(&rs, c.last())
		n := c.find(uint32(uidNext))
		switch {
		case len(back) == 0 && n > 0:
			w.add(c.slice(0, n, v.table))
			continue
		case n == c.len() && n+len(back) <= 2*chunkSize:
			w.add(c.with(back, v.table))
			continue
		}
		for i := range n {
			r := c.record(i)
			for len(back) > 0 && back[0].uid < r.uid {
				w.put(back[0])
				back = back[1:]
			}
			w.put(r)
		}
		for _, r := range back {
			w.put(r)
		}
	}
	for _, r := range rs {
		w.put(r)
	}
	w.flush()
	return w.list
}

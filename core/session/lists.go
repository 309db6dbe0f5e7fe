package session

import (
	"runtime"
	"sync"

	"github.com/roostmail/roost/core/slab"
)

// listShards is the number of locks over the mailboxes' lists.
const listShards = 64

// maxMailboxes is how large the id of a mailbox may be whose sessions are listed.
const maxMailboxes = 1 << 28

// lists holds, for every mailbox that sessions have open, the list of these sessions. The lists run through the
// records, and their heads are in a table by the mailbox's id (small numbers, as the protocol gives them): 4 bytes for a mailbox, none for a session.
type lists struct {
	slab   *records
	heads  *slab.Table[uint32] // a head is guarded by its mailbox's shard
	grow   sync.Mutex
	shards [listShards]listShard
}

// listShard guards the heads of its mailboxes, and the mbox links of the records in their lists.
type listShard struct{ mu sync.Mutex }

func newLists(r *records) (*lists, error) {
	heads, err := slab.New[uint32]("", maxMailboxes, 0)
	if err != nil {
		return nil, err
	}
	l := &lists{slab: r, heads: heads}
	runtime.AddCleanup(l, (*slab.Table[uint32]).Close, heads) // not in Engine.Close: a signal may come late
	return l, nil
}

// head returns the head of a mailbox's list, which it makes if asked to; nil: there is none, or no memory for it.
func (l *lists) head(mailbox uint32, grow bool) *uint32 {
	if h := l.heads.At(mailbox); h != nil || !grow {
		return h
	}
	l.grow.Lock()
	defer l.grow.Unlock()
	for l.heads.At(mailbox) == nil { // a chunk has many
		if slot, _, err := l.heads.Take(); err != nil || slot == 0 {
			return nil
		}
	}
	return l.heads.At(mailbox)
}

func (l *lists) shard(mailbox uint32) *listShard { return &l.shards[mailbox%listShards] }

// move takes the session from its mailbox's list to that of mailbox, 0 = none. Its owner calls it.
func (l *lists) move(slot uint32, r *record, mailbox uint32) {
	if r.mailbox == mailbox {
		return
	}
	if r.mailbox != 0 {
		sh := l.shard(r.mailbox)
		sh.mu.Lock()
		l.remove(slot, r)
		sh.mu.Unlock()
	}
	r.mailbox = mailbox
	if mailbox != 0 {
		sh := l.shard(mailbox)
		sh.mu.Lock()
		l.add(slot, r)
		sh.mu.Unlock()
	}
}

// add puts a session on its mailbox's list. Without memory for the head it is on none: it learns of
// changes with its next command. The caller holds the shard's lock.
func (l *lists) add(slot uint32, r *record) {
	r.mboxPrev, r.mboxNext = 0, 0
	head := l.head(r.mailbox, true)
	if head == nil {
		return
	}
	r.mboxNext = *head
	if *head != 0 {
		l.slab.at(*head).mboxPrev = slot
	}
	*head = slot
}

// remove takes a session off its mailbox's list. The caller holds the shard's lock.
func (l *lists) remove(slot uint32, r *record) {
	if r.mboxNext != 0 {
		l.slab.at(r.mboxNext).mboxPrev = r.mboxPrev
	}
	if r.mboxPrev != 0 {
		l.slab.at(r.mboxPrev).mboxNext = r.mboxNext
	} else if head := l.head(r.mailbox, false); head != nil && *head == slot {
		*head = r.mboxNext
	}
	r.mboxNext, r.mboxPrev = 0, 0
}

// signal tells all sessions of a mailbox that it has changed, and appends to owned those that were asleep and
// that the caller now owns. No session is run meanwhile, so the lock is held for nanoseconds per session.
func (l *lists) signal(mailbox uint32, owned []Handle) []Handle {
	sh := l.shard(mailbox)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	head := l.head(mailbox, false)
	if head == nil {
		return owned
	}
	for slot := *head; slot != 0; {
		r := l.slab.at(slot)
		gen := r.word.generation() // it has not ended: its owner would have taken it off the list first
		if out, _ := r.word.signal(gen, bitEvent); out == signalOwned {
			owned = append(owned, makeHandle(slot, gen))
		}
		slot = r.mboxNext
	}
	return owned
}

package session

import "sync"

// listShards is the number of locks over the mailboxes' lists.
const listShards = 64

// lists holds, for every mailbox that sessions have open, the list of these sessions. The lists run through the
// records, so that a mailbox costs a map entry and a session nothing.
type lists struct {
	slab   *records
	shards [listShards]listShard
}

type listShard struct {
	mu    sync.Mutex // guards heads, and the mbox links of the records in its lists
	heads map[uint32]uint32
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
		sh.remove(l.slab, r)
		sh.mu.Unlock()
	}
	r.mailbox = mailbox
	if mailbox != 0 {
		sh := l.shard(mailbox)
		sh.mu.Lock()
		sh.add(l.slab, slot, r)
		sh.mu.Unlock()
	}
}

func (sh *listShard) add(slab *records, slot uint32, r *record) {
	if sh.heads == nil {
		sh.heads = make(map[uint32]uint32)
	}
	head := sh.heads[r.mailbox]
	r.mboxPrev, r.mboxNext = 0, head
	if head != 0 {
		slab.at(head).mboxPrev = slot
	}
	sh.heads[r.mailbox] = slot
}

func (sh *listShard) remove(slab *records, r *record) {
	if r.mboxNext != 0 {
		slab.at(r.mboxNext).mboxPrev = r.mboxPrev
	}
	switch {
	case r.mboxPrev != 0:
		slab.at(r.mboxPrev).mboxNext = r.mboxNext
	case r.mboxNext != 0:
		sh.heads[r.mailbox] = r.mboxNext
	default:
		delete(sh.heads, r.mailbox)
	}
	r.mboxNext, r.mboxPrev = 0, 0
}

// signal tells all sessions of a mailbox that it has changed, and appends to owned those that were asleep and
// that the caller now owns. No session is run meanwhile, so the lock is held for nanoseconds per session.
func (l *lists) signal(mailbox uint32, owned []Handle) []Handle {
	sh := l.shard(mailbox)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for slot := sh.heads[mailbox]; slot != 0; {
		r := l.slab.at(slot)
		gen := r.word.generation() // it has not ended: its owner would have taken it off the list first
		if out, _ := r.word.signal(gen, bitEvent); out == signalOwned {
			owned = append(owned, makeHandle(slot, gen))
		}
		slot = r.mboxNext
	}
	return owned
}

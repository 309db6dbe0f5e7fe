package relay

import (
	"container/list"
	"sync"

	"github.com/roostmail/roost/core/backend"
)

// queue holds what was not handed over yet: one element for each mailbox, in the order in which they were first told.
type queue struct {
	max   int
	ready chan struct{} // holds a token while there may be something

	mu      sync.Mutex
	byKey   map[key]*list.Element // of *pending
	order   list.List
	dropped uint64 // since the last batch
}

// key names a change that others are joined with. What was renamed stays apart: each has a name of its own before.
type key struct{ user, namespace, mailbox, old string }

func keyOf(c *backend.MailboxChange) key { return key{c.User, c.Namespace, c.Mailbox, c.OldMailbox} }

// pending is a change with the user for whom storage can be asked about it.
type pending struct {
	user   *backend.User
	change backend.MailboxChange
}

func newQueue(max int) *queue {
	return &queue{max: max, ready: make(chan struct{}, 1), byKey: map[key]*list.Element{}}
}

// add puts a change into the queue. It returns how many mailboxes were dropped for it.
func (q *queue) add(p *pending) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e := q.byKey[keyOf(&p.change)]; e != nil {
		join(&e.Value.(*pending).change, &p.change)
		e.Value.(*pending).user = p.user
		return 0
	}
	q.byKey[keyOf(&p.change)] = q.order.PushBack(p)
	q.signal()
	return q.trim()
}

// join adds a later change of the same mailbox to one.
func join(c, later *backend.MailboxChange) {
	c.Kinds |= later.Kinds
	c.State, c.Time = later.State, later.Time
}

// take returns up to n changes, those that have waited longest first, and how many mailboxes were dropped since the last call.
func (q *queue) take(n int) (ps []*pending, dropped uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for range min(n, q.order.Len()) {
		p := q.order.Remove(q.order.Front()).(*pending)
		delete(q.byKey, keyOf(&p.change))
		ps = append(ps, p)
	}
	if len(ps) > 0 {
		dropped, q.dropped = q.dropped, 0
	}
	return ps, dropped
}

// putBack takes back what take has returned: before everything else, or into what has been told meanwhile.
func (q *queue) putBack(ps []*pending, dropped uint64) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped += dropped
	for i := len(ps) - 1; i >= 0; i-- {
		p := ps[i]
		if e := q.byKey[keyOf(&p.change)]; e != nil {
			e.Value.(*pending).change.Kinds |= p.change.Kinds
			continue
		}
		q.byKey[keyOf(&p.change)] = q.order.PushFront(p)
	}
	q.signal()
	return q.trim()
}

// trim drops what is too much. The caller holds mu.
func (q *queue) trim() (n int) {
	for ; q.order.Len() > q.max; n++ {
		p := q.order.Remove(q.order.Front()).(*pending)
		delete(q.byKey, keyOf(&p.change))
		q.dropped++
	}
	return n
}

func (q *queue) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.order.Len()
}

package mailbox

import (
	"container/list"
	"time"
)

// resting are the open mailboxes that nobody holds, each list in the order of their last use, the latest first. Those that stay awake for
// Config.Warm are in a list of their own, behind which none waits that may sleep after a second. Guarded by Registry.mu.
type resting struct{ long, short list.List }

// put makes m the latest one.
func (q *resting) put(m *Mailbox, short bool) {
	in := &q.long
	if short {
		in = &q.short
	}
	if m.queued != nil && m.in == in {
		in.MoveToFront(m.queued)
		return
	}
	q.remove(m)
	m.queued, m.in = in.PushFront(m), in
}

// remove takes m out; one that does not rest is ignored.
func (q *resting) remove(m *Mailbox) {
	if m.queued != nil {
		m.in.Remove(m.queued)
		m.queued, m.in = nil, nil
	}
}

// oldest returns the one that was not used for the longest time, or nil.
func (q *resting) oldest() *Mailbox {
	c := q.walk()
	m, _ := c.next()
	return m
}

// next returns the one that falls asleep first, and when, if each stays awake for as long as rest says. nil: there is none.
func (q *resting) next(rest func(m *Mailbox) time.Duration) (first *Mailbox, at time.Time) {
	for _, el := range [...]*list.Element{q.long.Back(), q.short.Back()} {
		if el == nil {
			continue
		}
		m := el.Value.(*Mailbox)
		if t := m.used.Add(rest(m)); first == nil || t.Before(at) {
			first, at = m, t
		}
	}
	return first, at
}

// walk begins a walk over all, the least recently used first.
func (q *resting) walk() restingWalk { return restingWalk{q.long.Back(), q.short.Back()} }

// restingWalk is where a walk stands in each list.
type restingWalk struct{ long, short *list.Element }

// next returns the next mailbox. ok is false at the end, and if the mailbox was used since the walk came near it, which the lock allows between two calls.
func (w *restingWalk) next() (m *Mailbox, ok bool) {
	at := &w.long
	if w.long == nil || w.short != nil && w.short.Value.(*Mailbox).used.Before(w.long.Value.(*Mailbox).used) {
		at = &w.short
	}
	el := *at
	if el == nil {
		return nil, false
	}
	m = el.Value.(*Mailbox)
	*at = el.Prev()
	return m, m.queued == el
}

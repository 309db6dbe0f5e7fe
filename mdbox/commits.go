package mdbox

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// commits lets Appends to a mailbox that wait for its locks come into it together: one of them takes the locks, and changes map and
// mailbox once for all, with the two syncs that this takes. Its zero value is ready.
type commits struct {
	mu      sync.Mutex
	waiting []*appending // in the order in which they came
	busy    bool         // one leads
}

// maxTogether is how many Appends are committed together.
const maxTogether = 64

// commit makes the messages that a has written part of the store and of the mailbox.
func (q *commits) commit(ctx context.Context, a *appending) (*Saved, error) {
	if _, ok := a.saver.(*mdboxSaver); !ok || a.replaces != 0 {
		commitTogether(ctx, []*appending{a})
		return a.saved, a.err
	}
	if !q.join(a) {
		select {
		case <-a.turn:
		case <-ctx.Done():
			if q.leave(a) {
				return nil, ctx.Err()
			}
			<-a.turn
		}
		if a.saved != nil || a.err != nil {
			return a.saved, a.err
		}
	}
	group := q.take()
	commitGroup(ctx, group)
	q.pass()
	for _, other := range group {
		if other != a {
			other.turn <- struct{}{}
		}
	}
	return a.saved, a.err
}

// join adds a to those that wait, and reports whether it leads.
func (q *commits) join(a *appending) (leads bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	a.turn = make(chan struct{}, 1)
	a.leads = !q.busy
	q.busy = true
	q.waiting = append(q.waiting, a)
	return a.leads
}

// leave takes a away, unless it is being committed, or leads.
func (q *commits) leave(a *appending) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, a)
	if i < 0 || a.leads {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	return true
}

// take returns those that are committed now, with the one that leads.
func (q *commits) take() []*appending {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.waiting), maxTogether)
	group := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return group
}

// pass lets the next one lead.
func (q *commits) pass() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.busy = false
		return
	}
	next := q.waiting[0]
	next.leads = true
	next.turn <- struct{}{}
}

// commitGroup commits Appends together, or one by one if what is wrong with one of them kept all of them out.
func commitGroup(ctx context.Context, group []*appending) {
	if len(group) == 1 {
		commitTogether(ctx, group)
		return
	}
	ctx = context.WithoutCancel(ctx) // that of one is not that of the others
	if !commitTogether(ctx, group) {
		return
	}
	for _, a := range group {
		commitTogether(ctx, []*appending{a})
	}
}

// commitTogether makes the messages of Appends, all to the same mailbox, part of it: all, or none. In mdbox that is: MAP, BOX, map, cache,
// mailbox (dovecot mdbox-save.c). apart says that nothing was done because of what is wrong with the files of one of them.
func commitTogether(ctx context.Context, group []*appending) (apart bool) {
	b, first := group[0].b, group[0]
	p, records := joined(group)
	var saved *Saved
	err := b.store.format.change(ctx, b.store, func(c change) error {
		var gone []uint32
		if first.replaces != 0 {
			gone = []uint32{first.replaces}
		}
		box, err := b.lockSized(ctx, first.guid, gone)
		if err != nil {
			return err
		}
		defer box.unlock()
		ctx := context.WithoutCancel(ctx) // too late
		if first.replaces != 0 {
			requested, err := box.requested()
			if err != nil {
				return err
			}
			if _, there := box.x.State().Find(first.replaces); !there || slices.Contains(requested, first.replaces) {
				return fmt.Errorf("%w: UID %d", ErrExpunged, first.replaces)
			}
			l := c.leave(box, first.replaces)
			box.replaces = &l
		}
		box.claims = slices.ContainsFunc(group, claiming)
		if saved, err = box.receive(ctx, c, p, records); err != nil {
			return err
		}
		if box.replaces != nil {
			b.store.report("expunge a message that was replaced", box.replaces.done(box))
		}
		for _, a := range group {
			b.store.report("close mail files", a.saver.release())
		}
		return nil
	})
	for _, a := range group {
		a.saved, a.err = nil, err
		if err == nil {
			n := len(a.mails)
			a.saved = &Saved{UIDValidity: saved.UIDValidity, UIDs: saved.UIDs[:n:n]}
			saved.UIDs = saved.UIDs[n:]
		}
	}
	if i := slices.IndexFunc(group, claiming); err == nil && i >= 0 {
		group[i].saved.ClaimedFirst, group[i].saved.ClaimedNext = saved.ClaimedFirst, saved.ClaimedNext
	}
	together, ok := p.(*mdboxSavers)
	return ok && together.refused
}

func claiming(a *appending) bool { return a.claim }

// joined returns what places the messages of Appends, and their records. Those of the first come first.
func joined(group []*appending) (placer, []newRecord) {
	if len(group) == 1 {
		return group[0].saver, group[0].records()
	}
	all := new(mdboxSavers)
	var records []newRecord
	for _, a := range group {
		r := a.records()
		all.add(a.saver.(*mdboxSaver), len(r))
		records = append(records, r...)
	}
	return all, records
}

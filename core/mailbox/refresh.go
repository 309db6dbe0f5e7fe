package mailbox

import (
	"bytes"
	"context"

	"github.com/roostmail/roost/core/backend"
)

// Refresh brings Current to the state that storage has at this moment or later.
// It calls nobody if the mailbox is Clean. Callers that come while a call is
// under way share the next one.
//
// It returns ErrReplaced or ErrDeleted if there is no way from the views known
// so far to what is there now, else storage's error; the mailbox then stays as it was.
func (m *Mailbox) Refresh(ctx context.Context) error {
	if m.Clean() {
		return nil
	}
	ticket := m.asked.Add(1)
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return &backend.Error{Kind: backend.KindCancelled, Cause: ctx.Err()}
	}
	defer func() { <-m.turn }()
	if m.served >= ticket && (m.result == nil || backend.KindOf(m.result) != backend.KindCancelled) {
		return m.result
	}
	if m.Clean() {
		return nil
	}
	// Whoever has a ticket by now asked before the call below begins.
	served := m.asked.Load()
	changed, err := m.fetch(ctx)
	m.served, m.result = served, err
	// If the caller has gone in the midst of it, the others were told of what is still to be fetched, but may have left that to it.
	if changed || err != nil && ctx.Err() == context.Canceled && m.r.announce(m.e) {
		m.r.onChange(m.id)
	}
	return err
}

// fetch makes one call to storage and installs its result. The caller holds the turn.
func (m *Mailbox) fetch(ctx context.Context) (changed bool, err error) {
	if lost := m.gone(); lost != nil {
		return false, lost
	}
	m.r.poll()
	before := m.r.watchState()
	m.r.mark(m.e, bitFetching) // until its result is installed, nobody may take the mailbox for clean
	defer m.r.unmark(m.e, bitFetching)
	m.r.unmark(m.e, bitDirty) // what was announced up to here, the call below finds
	cur := m.cur.Load()
	known := cur != nil || m.saved != nil
	switch {
	case m.saved != nil:
		if changed, err = m.awaken(ctx, before); err == nil {
			m.r.woken(m)
		}
	case cur == nil || m.r.watcher != nil && !m.e.has(bitWatched) && m.watchable:
		changed, err = m.open(ctx, before)
	default:
		changed, err = m.changes(ctx)
	}
	if err == nil {
		return changed, nil
	}
	m.Doubt()
	err = m.r.blame(err)
	if known && (backend.KindOf(err) == backend.KindNotFound || err == ErrReplaced) {
		if err != ErrReplaced {
			err = ErrDeleted
		}
		m.lose(err)
		return true, err
	}
	return false, err
}

// open takes the whole state of the mailbox, and a watch with it.
func (m *Mailbox) open(ctx context.Context, before watchState) (bool, error) {
	s, err := m.r.storage.Open(ctx, *m.Ref())
	if err == nil && s == nil {
		err = badAnswer("no snapshot")
	}
	if err != nil {
		return false, err
	}
	m.report(s.Damage)
	changed, err := m.apply(s.Position, func(cur *View) (*View, *delta, error) {
		if cur == nil {
			v, err := fromSnapshot(s, m.table, m.journal.current())
			return v, nil, err
		}
		return fromReset(cur, s)
	})
	if err != nil {
		return false, err
	}
	m.sawModSeqs(&s.Messages)
	m.r.addWatch(m, s, before)
	m.watchable = s.Watch != 0
	return changed, nil
}

// changes takes what happened since the current view.
func (m *Mailbox) changes(ctx context.Context) (bool, error) {
	c, err := m.r.storage.Changes(ctx, *m.Ref(), m.position)
	if err == nil && c == nil {
		err = badAnswer("no changes")
	}
	if err != nil {
		return false, err
	}
	return m.take(c)
}

// take installs what happened since the current position. The caller holds the turn.
func (m *Mailbox) take(c *backend.Changes) (changed bool, err error) {
	if c.Reset == nil && bytes.Equal(c.Position, m.position) {
		return false, nil
	}
	position := c.Position
	if c.Reset != nil {
		position = c.Reset.Position
		m.report(c.Reset.Damage)
		m.sawModSeqs(&c.Reset.Messages)
	}
	m.sawModSeqs(&c.Updated)
	return m.apply(position, func(cur *View) (*View, *delta, error) {
		if c.Reset == nil {
			return fromChanges(cur, c)
		}
		return fromReset(cur, c.Reset)
	})
}

// apply installs the view that step makes of the current one, if it is another, and its position.
func (m *Mailbox) apply(position []byte, step func(cur *View) (*View, *delta, error)) (changed bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	cur := m.cur.Load()
	v, d, err := step(cur)
	if err != nil {
		return false, err
	}
	m.changed = m.changed || !bytes.Equal(m.position, position)
	m.position = position
	if v == cur {
		return false, nil
	}
	m.install(v, d)
	return cur != nil, nil
}

// lose detaches the mailbox: its sessions get err, new ones another entry.
func (m *Mailbox) lose(err error) {
	m.mu.Lock()
	m.lost = err
	m.mu.Unlock()
	bit, kinds := bitDeleted, backend.ChangeDeleted
	if err == ErrReplaced {
		bit, kinds = bitReplaced, backend.ChangeDeleted|backend.ChangeCreated
	}
	m.r.tell(*m.Ref(), kinds, nil)
	m.r.mu.Lock()
	m.r.mark(m.e, bit)
	m.r.detach(m.id)
	m.r.mu.Unlock()
}

func (m *Mailbox) report(damage []string) {
	for _, d := range damage {
		ref := m.Ref()
		m.r.log.Error("mailbox is damaged", "user", ref.User.Name, "namespace", ref.Namespace, "mailbox", ref.Name, "damage", d)
	}
}

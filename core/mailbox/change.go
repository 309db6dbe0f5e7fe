package mailbox

import (
	"bytes"
	"context"

	"github.com/roostmail/roost/core/backend"
)

// Change makes a call of backend.Writer that changes this mailbox, and brings Current to a
// state in which the change is visible, which takes no second call if nobody else has refreshed meanwhile. call gets
// the position of the current view, for the request's Since, and returns the answer's Changed.
//
// before is the view that the position is of: what the caller's own change started from. The error is
// that of call. After one, the mailbox is looked at anew by the next Refresh: what fails
// may have done its work. When only looking at the result failed, that is left to the next
// Refresh, too, since the change itself is done.
func (m *Mailbox) Change(ctx context.Context, call func(since []byte) (*backend.Changes, error)) (before *View, err error) {
	m.mu.Lock()
	before, since := m.cur.Load(), m.position
	m.mu.Unlock()
	changed, err := call(since)
	if err != nil {
		m.Doubt()
		return before, err
	}
	if m.takeChanged(ctx, changed, since) {
		return before, nil
	}
	m.Doubt()
	if err := m.Refresh(ctx); err != nil {
		m.r.log.WarnContext(ctx, "change could not be looked at", "user", m.Ref().User.Name, "mailbox", m.Ref().Name, "error", err)
	}
	return before, nil
}

// takeChanged installs what a Writer has told, if the mailbox is still at the position that it was asked for.
func (m *Mailbox) takeChanged(ctx context.Context, changed *backend.Changes, since []byte) bool {
	if changed == nil {
		return false
	}
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	defer func() { <-m.turn }()
	return bytes.Equal(m.position, since) && m.installChanged(changed) == nil
}

// gone returns why the mailbox is detached, or nil.
func (m *Mailbox) gone() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lost
}

// installChanged is take for a Writer's answer: it tells the sessions. The caller holds the turn.
func (m *Mailbox) installChanged(c *backend.Changes) error {
	if lost := m.gone(); lost != nil {
		return lost
	}
	news, err := m.take(c)
	if err == nil && news {
		m.r.onChange(m.id)
	}
	return err
}

package imap

import (
	"fmt"

	"github.com/roostmail/roost/core/backend"
)

// run sends all wanted messages. When storage goes down meanwhile, it is asked again for what is
// missing: messages never change, so a body is continued from the byte at which it stopped.
func (f *fetch) run() error {
	for f.unsent() {
		var err error
		if f.cur.active && f.cur.begun {
			err = f.rest()
		} else {
			err = f.remaining()
		}
		if err != nil {
			if err = f.retry.again(f.ctx, err); err != nil {
				f.broken = f.cur.active && f.cur.begun
				return err
			}
		}
	}
	return f.failures.outcome("sent")
}

// unsent reports whether messages are left. Those whose texts are too much for one answer of storage come last.
func (f *fetch) unsent() bool {
	if !f.cur.active && f.next == len(f.uids) && len(f.large) > 0 {
		f.uids, f.next, f.large = f.large, 0, nil
		f.plan = f.plan.withoutTexts()
	}
	return f.cur.active || f.next < len(f.uids)
}

// remaining asks for all messages that are left.
func (f *fetch) remaining() error {
	if f.cur.active && f.cur.discard {
		f.next++
	}
	f.cur.active = false
	if f.next == len(f.uids) {
		return nil
	}
	err := f.srv.storage.Fetch(f.ctx, &backend.FetchRequest{Mailbox: *f.ref, MailboxID: f.view.MailboxID, UIDs: f.uids[f.next:],
		Items: f.plan.items, HeaderFields: f.plan.fields, Offset: f.plan.offset, Length: f.plan.length}, f)
	if err != nil {
		return err
	}
	if f.cur.active {
		return errTooLittle
	}
	f.failures.expunged += len(f.uids) - f.next
	f.next = len(f.uids)
	return nil
}

// rest asks for the rest of the body of a message whose response was begun.
func (f *fetch) rest() error {
	c := &f.cur
	c.resumed = true
	r := &backend.FetchRequest{Mailbox: *f.ref, MailboxID: f.view.MailboxID, UIDs: f.uids[f.next : f.next+1], Items: backend.FetchBody, Offset: c.base + c.pos}
	if !c.whole {
		r.Length = c.total - c.pos
	}
	at := c.pos
	err := f.srv.storage.Fetch(f.ctx, r, f)
	switch {
	case err != nil || !c.active:
		return err
	case c.pos == at:
		return backend.Errorf(backend.KindExpunged, "A message was expunged while it was sent.")
	}
	return errTooLittle
}

var (
	errTooLittle = backend.Errorf(backend.KindInternal, "Storage sent less than it announced.")
	errTooMuch   = backend.Errorf(backend.KindInternal, "Storage sent more than it announced.")
	errNotAsked  = backend.Errorf(backend.KindInternal, "Storage sent a message that was not asked for.")
)

// resume takes the answer for the rest of a body.
func (f *fetch) resume(m *backend.FetchedMessage) error {
	c := &f.cur
	switch {
	case m.UID != uint32(c.msg.UID):
		return errNotAsked
	case m.Err != nil:
		return m.Err
	case m.BodySize != c.total-c.pos:
		return &backend.Error{Kind: backend.KindCorrupted,
			Detail: fmt.Sprintf("UID %d: %d bytes are left of a body, not %d as before", m.UID, m.BodySize, c.total-c.pos)}
	}
	return nil
}

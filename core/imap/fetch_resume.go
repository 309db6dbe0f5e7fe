package imap

import (
	"fmt"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// run sends all wanted messages. When storage goes down meanwhile, it is asked again for what is
// missing: messages never change, so a body is continued from the byte at which it stopped.
func (f *fetch) run() error {
	for f.cur.active || f.next < len(f.uids) {
		var err error
		if f.cur.active && f.cur.begun {
			err = f.rest()
		} else {
			err = f.remaining()
		}
		if err != nil {
			if err = f.again(err); err != nil {
				return err
			}
		}
	}
	return f.outcome()
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
	err := f.srv.storage.Fetch(f.ctx, &backend.FetchRequest{Mailbox: *f.ref, UIDs: f.uids[f.next:],
		Items: f.plan.items, HeaderFields: f.plan.fields, Offset: f.plan.offset, Length: f.plan.length}, f)
	if err != nil {
		return err
	}
	if f.cur.active {
		return errTooLittle
	}
	f.expunged += len(f.uids) - f.next
	f.next = len(f.uids)
	return nil
}

// rest asks for the rest of the body of a message whose response was begun.
func (f *fetch) rest() error {
	c := &f.cur
	c.resumed = true
	r := &backend.FetchRequest{Mailbox: *f.ref, UIDs: f.uids[f.next : f.next+1], Items: backend.FetchBody, Offset: c.base + c.pos}
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

// again decides what follows a call that failed: nil to ask once more, or the end of the command.
func (f *fetch) again(err error) error {
	retry := backend.KindOf(err) == backend.KindUnavailable && f.retries < f.srv.cfg.Fetch.Retries && f.out.Err() == nil
	if !retry {
		f.broken = f.cur.active && f.cur.begun
		return err
	}
	f.retries++
	timer := time.NewTimer(time.Duration(f.retries) * f.srv.cfg.Fetch.RetryDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-f.ctx.Done():
		f.broken = f.cur.active && f.cur.begun
		return f.ctx.Err()
	}
}

// maxLogged is how many messages of one command are logged that could not be sent.
const maxLogged = 20

// fail notes that a message can not be sent.
func (f *fetch) fail(uid uint32, err *backend.Error) {
	if err.Kind == backend.KindExpunged {
		f.expunged++
		return
	}
	f.failed++
	if f.failure == nil {
		f.failure = err
	}
	if f.failed <= maxLogged {
		f.srv.log.Error("message could not be sent", "user", f.ref.User.Name, "mailbox", f.ref.Name, "uid", uid, "error", err.Error())
	}
}

// outcome returns the error of a command that has sent all it could.
func (f *fetch) outcome() error {
	switch {
	case f.failed > 1:
		return backend.Errorf(f.failure.Kind, "%d messages could not be sent, see the server's log.", f.failed)
	case f.failed == 1:
		return &backend.Error{Kind: f.failure.Kind, Message: f.failure.Message}
	case f.expunged > 0: // RFC 2180 §4.1.2, RFC 5530 §3
		return no("EXPUNGEISSUED", "Some messages were already expunged.")
	}
	return nil
}

package imap

import (
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
)

// REPLACE and UID REPLACE (RFC 8508 §3.2, §3.3): SP number SP mailbox SP append-data. One message of the selected mailbox goes, and one comes, there or
// elsewhere. In the same mailbox that is one step of storage, if it has such a one; otherwise the new message is saved first.

// replaced reads what REPLACE has before the mailbox, and APPEND has not: SP seq-number. star: it was "*".
func (r *request) replaced() (number uint32, star bool) {
	if !strings.HasSuffix(r.cmd.name, "REPLACE") {
		return 0, false
	}
	r.d.SP()
	if r.d.TryByte('*') {
		return 0, true
	}
	return r.d.NZNumber(), false
}

func runReplace(r *request) error {
	number, star := r.replaced()
	raw, messages, err := r.appendArguments()
	if err != nil {
		return err
	}
	if len(messages) != 1 {
		return bad("REPLACE takes one message.")
	}
	uid, err := r.toReplace(number, star)
	if err != nil {
		return err
	}
	ref, err := r.ref(raw)
	if err != nil {
		return err
	}
	const remove = backend.RightWriteDeleted | backend.RightExpunge
	if rights, err := r.rights(*r.mbox.Ref()); err != nil {
		return err
	} else if rights&remove != remove { // RFC 8508 §4.1: before anything is saved
		return no("NOPERM", "Permission denied.")
	}
	list, err := r.bodiesOf(messages)
	if err != nil {
		return err
	}
	selected := r.mbox.Ref()
	req := &backend.AppendRequest{Mailbox: ref, Messages: list}
	atOnce := r.srv.offers.replace && ref.Namespace == selected.Namespace && ref.Name == selected.Name
	if atOnce {
		req.Replaces = &backend.ReplacedMessage{MailboxID: r.view.MailboxID, UID: uid}
	}
	var result *backend.AppendResult
	save := func(since []byte) (*backend.Changes, error) {
		r.during(func() { result, err = r.srv.writer.Append(r.ctx, req) })
		return nil, err
	}
	if atOnce {
		_, err = r.mbox.Change(r.ctx, save)
		r.fresh = err == nil
	} else {
		_, err = save(nil)
	}
	if err != nil {
		if backend.KindOf(err) == backend.KindNotFound {
			r.wrote(ref, 0)
			return noDestination(raw)
		}
		return err
	}
	r.wrote(ref, backend.ChangeAppended)
	r.added(ref, result.UIDs)
	if code := appendUID(result); code != "" { // before EXPUNGE, RFC 8508 §4.3
		r.s.WriteString("* OK [" + code + "] Replacement message ready.\r\n")
	}
	if !atOnce {
		return r.removeReplaced(uid)
	}
	return nil
}

// toReplace returns the UID of the message that goes.
func (r *request) toReplace(number uint32, star bool) (uint32, error) {
	r.announced()
	var m mailbox.Message
	var ok bool
	switch {
	case star:
		m, ok = r.view.Message(mailbox.SeqNum(r.view.Len()))
	case r.cmd.uid:
		m, ok = r.view.Message(r.view.Seq(imap.UID(number)))
	default:
		m, ok = r.view.Message(mailbox.SeqNum(number))
	}
	switch {
	case !ok && r.cmd.uid:
		return 0, no("", "No such message.")
	case !ok:
		return 0, bad("Invalid message sequence number.")
	case len(r.mbox.Current().Existing([]uint32{uint32(m.UID)})) == 0:
		return 0, no("EXPUNGEISSUED", "The message no longer exists.")
	}
	return uint32(m.UID), nil
}

// removeReplaced expunges the old message after the new one was saved. If that fails, there are both, and the client knows of both.
func (r *request) removeReplaced(uid uint32) error {
	_, err := r.mbox.Change(r.ctx, func(since []byte) (*backend.Changes, error) {
		result, err := r.srv.writer.Expunge(r.ctx, &backend.ExpungeRequest{Mailbox: *r.mbox.Ref(), MailboxID: r.view.MailboxID, UIDs: []uint32{uid}, Since: since})
		if err != nil {
			return nil, err
		}
		return result.Changed, nil
	})
	r.fresh = err == nil
	return err
}

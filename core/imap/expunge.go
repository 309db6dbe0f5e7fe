package imap

import (
	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
)

// EXPUNGE (RFC 3501 §6.4.3) and UID EXPUNGE (RFC 4315 §2.1): SP set. What is removed is what the
// client knows: a message that it was not told of stays, whatever its flags are.
func runExpunge(r *request) error {
	ranges := r.view.All()
	if r.cmd.uid {
		r.d.SP()
		ranges = r.limited(r.view.UIDs(r.numSet().NumSet))
	}
	if err := r.end(); err != nil {
		return err
	}
	r.announced() // \Deleted may be somebody else's
	return r.expunge(r.deleted(ranges))
}

// deleted returns the UIDs of the messages in ranges that have \Deleted, as far as is known.
func (r *request) deleted(ranges []mailbox.SeqRange) []uint32 {
	now := r.view
	if v, err := r.mbox.At(r.view.Version); err == nil {
		now = v // the same messages with newer flags
	}
	var uids []uint32
	for m := range now.Deleted(ranges) {
		uids = append(uids, uint32(m.UID))
	}
	return uids
}

// expunge removes those of the messages that have \Deleted at that moment.
func (r *request) expunge(uids []uint32) error {
	if len(uids) == 0 {
		return nil
	}
	_, err := r.mbox.Change(r.ctx, func(since []byte) (changed *backend.Changes, err error) {
		var result *backend.ExpungeResult
		r.during(func() {
			result, err = r.srv.writer.Expunge(r.ctx, &backend.ExpungeRequest{Mailbox: *r.mbox.Ref(), MailboxID: r.view.MailboxID,
				UIDs: uids, OnlyDeleted: true, Since: since})
		})
		if err != nil {
			return nil, err
		}
		return result.Changed, nil
	})
	r.fresh = err == nil
	return err
}

package imap

import (
	"errors"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
)

// COPY and UID COPY (RFC 3501 §6.4.7): SP set SP mailbox. The answer says where the copies are (RFC 4315 §3).
func runCopy(r *request) error {
	code, err := r.copy(false)
	if err == nil && code != "" {
		r.ok.code = code
	}
	return err
}

// MOVE and UID MOVE (RFC 6851 §3.1): the same, and the messages are gone from the selected mailbox. The
// code stands in an untagged response, so that it precedes EXPUNGE (§4.3).
func runMove(r *request) error {
	code, err := r.copy(true)
	if err == nil && code != "" {
		r.s.WriteString("* OK [" + code + "] Moved UIDs.\r\n")
	}
	return err
}

// copy copies or moves messages. code is COPYUID, "" if there was nothing to copy.
func (r *request) copy(move bool) (code string, err error) {
	r.d.SP()
	set := r.numSet()
	r.d.SP()
	raw := r.d.Mailbox()
	if err := r.end(); err != nil {
		return "", err
	}
	ranges, err := r.messages(set)
	if err != nil {
		return "", err
	}
	to, err := r.ref(raw)
	if err != nil {
		return "", err
	}
	if move {
		ranges = r.limited(ranges)
	}
	uids := r.view.UIDsOf(ranges)
	if err := r.refuseSave(len(uids), !move); err != nil {
		return "", err
	}
	if !r.cmd.uid {
		r.announced()
		if len(r.mbox.Current().Existing(uids)) < len(uids) { // RFC 2180 §4.4.1
			return "", no("EXPUNGEISSUED", "Some of the requested messages no longer exist.")
		}
	}
	result := &backend.CopyResult{}
	if len(uids) > 0 {
		if result, err = r.copyTo(to, uids, move); err != nil {
			return "", destinationError(err, raw)
		}
	}
	if len(result.UIDs) == 0 {
		r.ok.text = "No messages found."
		return "", nil
	}
	b := append([]byte("COPYUID "), imapwire.AppendNumber(nil, uint64(result.UIDValidity))...)
	b = imapwire.AppendNumSet(append(b, ' '), imapwire.RangesOf(result.Source))
	b = imapwire.AppendNumSet(append(b, ' '), imapwire.RangesOf(result.UIDs))
	return string(b), nil
}

// copyTo is the call.
func (r *request) copyTo(to backend.MailboxRef, uids []uint32, move bool) (result *backend.CopyResult, err error) {
	_, err = r.mbox.Change(r.ctx, func(since []byte) (*backend.Changes, error) {
		r.during(func() {
			result, err = r.srv.writer.Copy(r.ctx, &backend.CopyRequest{Mailbox: *r.mbox.Ref(), MailboxID: r.view.MailboxID,
				UIDs: uids, Destination: to, Move: move, Since: since})
		})
		if err != nil {
			return nil, err
		}
		return result.Changed, nil
	})
	if err != nil {
		return nil, err
	}
	if len(result.Source) != len(result.UIDs) {
		return nil, backend.Errorf(backend.KindInternal, "Storage gave an invalid answer.")
	}
	r.fresh = true
	r.added(to, result.UIDs)
	r.wrote(to, backend.ChangeAppended)
	return result, nil
}

// destinationError says that it was the destination that does not exist, which the client may create (RFC 3501 §7.1: TRYCREATE).
func destinationError(err error, raw []byte) error {
	if backend.KindOf(err) != backend.KindNotFound {
		return err
	}
	var e *backend.Error
	if errors.As(err, &e) && e.Message == "destination" {
		return noDestination(raw)
	}
	return err
}

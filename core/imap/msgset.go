package imap

import (
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
)

// msgSet is a message set of a command.
type msgSet struct {
	imapwire.NumSet
	uid bool // of UIDs
}

// numSet reads a sequence-set (RFC 3501 §9), which may be "$" (RFC 5182 §2.1: seq-set-saved).
func (r *request) numSet() msgSet {
	if r.d.TryByte('$') {
		return r.savedResult()
	}
	return msgSet{NumSet: r.d.NumSet(), uid: r.cmd.uid}
}

// messages resolves a message set. A sequence number that no message has is an
// error of the client's; a UID is not (RFC 3501 §6.4.8).
func (r *request) messages(set msgSet) ([]mailbox.SeqRange, error) {
	if set.uid {
		return r.view.UIDs(set.NumSet), nil
	}
	ranges, ok := r.view.Seqs(set.NumSet)
	if !ok {
		return nil, bad("Invalid messageset.")
	}
	return ranges, nil
}

package imap

import (
	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
)

// FETCH of a part of a message without .PEEK implies +FLAGS.SILENT (\Seen) (RFC 3501 §6.4.5). As in Dovecot, the response of a
// message that is seen for the first time has its new flags, and they are stored when all
// messages were sent: one call for a command, and no message is \Seen that could not be read.

// seen is what a FETCH does to \Seen.
type seen struct {
	sets bool     // it does
	uids []uint32 // of messages that were sent whole and did not have it, ascending
}

// maySee reports whether the user may set \Seen (RFC 4314 §4: FETCH without the right s does not).
func (r *request) maySee() bool {
	if r.srv.acl == nil {
		return true
	}
	rights, err := r.rights(*r.mbox.Ref())
	return err == nil && rights&backend.RightWriteSeen != 0
}

// newlySeen reports whether the FETCH sets \Seen of a message.
func (f *fetch) newlySeen(m mailbox.Message) bool {
	return f.seen.sets && !f.view.FlagSet(m.Flags).Seen()
}

// sawWhole notes that the response of a message is complete.
func (f *fetch) sawWhole(m mailbox.Message) {
	if f.newlySeen(m) {
		f.seen.uids = append(f.seen.uids, uint32(m.UID))
	}
}

// appendFlags appends the FLAGS item of a message.
func (f *fetch) appendFlags(b []byte, m mailbox.Message) []byte {
	if !f.newlySeen(m) {
		return appendFlags(b, f.view, m, f.recent)
	}
	b = append(b, "FLAGS ("...)
	b = f.view.FlagSet(m.Flags).AppendText(b, backend.FlagSeen, f.recent.Has(m.UID))
	return append(b, ')')
}

// appendSeen appends the FLAGS item, which nobody has asked for, of a message that becomes \Seen.
func (f *fetch) appendSeen(b []byte, m mailbox.Message) []byte {
	if !f.newlySeen(m) {
		return b
	}
	space := false // something stands before it
	for i := range f.items {
		if f.items[i].kind == fetchFlags {
			return b
		}
		space = space || f.items[i].first()
	}
	if space {
		b = append(b, ' ')
	}
	return f.appendFlags(b, m)
}

// storeSeen sets \Seen of what a FETCH has sent. If that fails the messages were read
// nevertheless: the client is told that their flags are not what the responses said.
func (r *request) storeSeen(uids []uint32) {
	if len(uids) == 0 {
		return
	}
	change := mailbox.FlagChange{Mode: backend.StoreAdd, System: backend.FlagSeen}
	before, _, err := r.store(uids, change, backend.AnyModSeq)
	r.own = &ownChange{uids: uids, change: change, silent: err == nil, before: before}
	if err != nil {
		r.logError(err)
	}
}

package imap

import (
	"slices"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
)

// updateText makes the untagged responses of an update, all but RECENT, for one session. It is the same
// for all who differ neither in the settings nor in what is \Recent of the messages that changed.
type updateText struct {
	u                            *mailbox.Update
	condstore, qresync, mayWrite bool
	recent                       mailbox.Recent
	rights                       backend.Rights // to the mailbox; the same for all sessions that share it, which are of one user

	own *ownStory // nil: the command has changed no flags
	uid bool      // FETCH responses have the UID (RFC 3501 §6.4.8); of others' changes with condstore or NOTIFY

	uidOnly bool // there are no sequence numbers (uidonly.go)

	frozen   bool // only what the command did is told (notify_selected.go)
	ownFlags bool // flags that others have changed are not told
}

// permanentRights returns those that PERMANENTFLAGS is made of, which is told when there is a new keyword (RFC 4314 §5.1.1).
func (r *request) permanentRights(u *mailbox.Update) backend.Rights {
	if !r.mayWrite() {
		return 0
	}
	if r.srv.acl == nil || !u.NewKeywords() {
		return backend.AllRights
	}
	rights, err := r.rights(*r.mbox.Ref())
	if err != nil {
		r.logError(err)
		return 0
	}
	return rights
}

// shared reports whether other sessions may get the same text.
func (t *updateText) shared() bool {
	if t.own != nil {
		return false
	}
	if t.recent.Empty() {
		return true
	}
	return !slices.ContainsFunc(t.u.Changed, func(c mailbox.Changed) bool { return t.recent.Has(c.UID) })
}

// key names the text among those of the mailbox.
func (t *updateText) key() mailbox.MemoKey {
	k := mailbox.MemoKey{From: t.u.From.Version, To: t.u.To.Version}
	if t.condstore {
		k.Kind |= 1
	}
	if t.mayWrite {
		k.Kind |= 2
	}
	if t.qresync {
		k.Kind |= 4
	}
	if t.uid {
		k.Kind |= 8
	}
	if t.ownFlags {
		k.Kind |= 16
	}
	if t.uidOnly {
		k.Kind |= 32
	}
	return k
}

// render returns the text, in Dovecot's order: sequence numbers of FETCH and EXPUNGE are those of u.From,
// descending in the case of EXPUNGE, so that none has to be adjusted (RFC 3501 §7.4.1).
func (t *updateText) render() []byte {
	var b []byte
	u := t.u
	if u.NewKeywords() {
		b = appendFlagsLines(b, u.To, t.rights)
	}
	for _, c := range t.changed() {
		flags, modseq := t.say(c)
		b = t.appendFetch(b, c.Message, flags, modseq)
	}
	if t.qresync || t.uidOnly { // RFC 7162 §3.2.10, RFC 9586 §3.4
		b = t.appendVanished(b)
	} else {
		b = t.appendExpunged(b)
	}
	if !t.frozen && u.Appended() > 0 {
		b = appendCount(b, u.To.Len(), " EXISTS\r\n")
	}
	return b
}

// changed returns the messages of which something may have to be told.
func (t *updateText) changed() []mailbox.Changed {
	u := t.u
	if t.ownFlags {
		none := *u
		none.Changed = nil
		u = &none
	}
	if t.own != nil {
		return t.own.merge(u)
	}
	return u.Changed
}

// told returns the highest modseq of a message that the text tells.
func (t *updateText) told() (modseq uint64) {
	for _, c := range t.changed() {
		if _, ok := t.say(c); ok {
			modseq = max(modseq, c.ModSeq)
		}
	}
	return modseq
}

func (t *updateText) appendExpunged(b []byte) []byte {
	for _, seq := range slices.Backward(t.u.Expunged) {
		b = appendCount(b, uint32(seq), " EXPUNGE\r\n")
	}
	return b
}

func (t *updateText) appendVanished(b []byte) []byte {
	if len(t.u.Expunged) == 0 {
		return b
	}
	uids := make([]uint32, 0, len(t.u.Expunged))
	for _, seq := range t.u.Expunged {
		m, _ := t.u.From.Message(seq)
		uids = append(uids, uint32(m.UID))
	}
	b = append(b, "* VANISHED "...)
	b = imapwire.AppendNumSet(b, imapwire.RangesOf(uids))
	return append(b, '\r', '\n')
}

// say decides what is told of a message.
func (t *updateText) say(c mailbox.Changed) (flags, modseq bool) {
	if t.own == nil {
		return !c.FlagsSame || t.condstore, t.condstore
	}
	flags, modseq = t.own.say(c)
	return flags, t.condstore && (flags || modseq)
}

// appendFetch appends a FETCH response with what there is to say, if there is anything.
func (t *updateText) appendFetch(b []byte, m mailbox.Message, flags, modseq bool) []byte {
	if !flags && !modseq {
		return b
	}
	b = appendFetchStart(b, uint32(m.Seq), uint32(m.UID), t.uidOnly)
	if t.uid && !t.uidOnly {
		b = append(b, "UID "...)
		b = append(imapwire.AppendNumber(b, uint64(m.UID)), ' ')
	}
	if modseq { // RFC 7162 §3.2
		b = append(appendModSeq(b, m.ModSeq), ' ')
	}
	if flags {
		b = append(appendFlags(b, t.u.To, m, t.recent), ' ')
	}
	return append(b[:len(b)-1], ")\r\n"...)
}

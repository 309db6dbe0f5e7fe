package imap

import (
	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
)

// STATUS (RFC 3501 §6.3.10): "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")",
// with HIGHESTMODSEQ (RFC 7162 §3.1.7), SIZE (RFC 8438 §2), DELETED (RFC 9051 §6.3.11), MAILBOXID (RFC 8474 §4.3)
// and APPENDLIMIT (RFC 7889 §3.1).
func runStatus(r *request) error {
	raw, items, ref, err := r.status()
	if err != nil {
		return err
	}
	var all []backend.MailboxStatus
	r.during(func() {
		all, err = r.srv.boxes.Status(r.ctx, ref.User, ref.Namespace, []string{ref.Name}, ofStorage(items))
	})
	if err != nil {
		return err
	}
	if all[0].Err != nil {
		return all[0].Err
	}
	r.writeStatus(raw, items, &all[0])
	return nil
}

// quickStatus answers if the values are known, and the selected mailbox has nothing to tell.
func quickStatus(r *request) (bool, error) {
	raw, items, ref, err := r.status()
	if err != nil {
		return true, err
	}
	if r.st.Proto == stateSelected && !r.upToDate() || items&backend.StatusHighestModSeq != 0 && r.mustWait() {
		return false, nil
	}
	if r.st.Proto == stateSelected {
		if st, ok := r.selectedStatus(ref, ofStorage(items)); ok {
			r.writeStatus(raw, items, &st)
			return true, nil
		}
	}
	st, ok := r.srv.boxes.KnownStatus(ref, ofStorage(items))
	if ok {
		r.writeStatus(raw, items, st)
	}
	return ok, nil
}

// selectedStatus returns the values if ref is the selected mailbox, and they are known without its view.
func (r *request) selectedStatus(ref backend.MailboxRef, items backend.StatusItems) (st backend.MailboxStatus, ok bool) {
	if namespace, name := r.srv.boxes.NameOf(r.s.Mailbox()); namespace != ref.Namespace || name != ref.Name {
		return st, false
	}
	return r.srv.boxes.StatusOf(r.s.Mailbox(), items)
}

// status reads the command.
func (r *request) status() (raw []byte, items backend.StatusItems, ref backend.MailboxRef, err error) {
	r.d.SP()
	raw = r.d.Mailbox()
	r.d.SP()
	items = statusItems(&r.d)
	if err = r.end(); err == nil {
		err = r.srv.offers.refuseStatus(items)
	}
	if err == nil {
		ref, err = r.ref(raw)
	}
	return raw, items, ref, err
}

// writeStatus writes the response under the name that the client has used.
func (r *request) writeStatus(raw []byte, items backend.StatusItems, st *backend.MailboxStatus) {
	r.statusEnables(items)
	b := r.s.Buffer()
	*b = r.appendStatus(*b, raw, items, st)
	r.s.Commit()
}

// statusNames are the items in the order in which Dovecot answers them.
var statusNames = []struct {
	item  backend.StatusItems
	name  string
	value func(s *backend.MailboxStatus) uint64 // nil: appendStatus knows it
}{
	{backend.StatusMessages, "MESSAGES", func(s *backend.MailboxStatus) uint64 { return uint64(s.Messages) }},
	{backend.StatusRecent, "RECENT", func(s *backend.MailboxStatus) uint64 { return uint64(s.Recent) }},
	{backend.StatusUIDNext, "UIDNEXT", func(s *backend.MailboxStatus) uint64 { return uint64(s.UIDNext) }},
	{backend.StatusUIDValidity, "UIDVALIDITY", func(s *backend.MailboxStatus) uint64 { return uint64(s.UIDValidity) }},
	{backend.StatusUnseen, "UNSEEN", func(s *backend.MailboxStatus) uint64 { return uint64(s.Unseen) }},
	{backend.StatusHighestModSeq, "HIGHESTMODSEQ", func(s *backend.MailboxStatus) uint64 { return s.HighestModSeq }},
	{backend.StatusSize, "SIZE", func(s *backend.MailboxStatus) uint64 { return s.Size }},
	{backend.StatusDeleted, "DELETED", func(s *backend.MailboxStatus) uint64 { return uint64(s.Deleted) }},
	{backend.StatusDeletedSize, "DELETED-STORAGE", func(s *backend.MailboxStatus) uint64 { return s.DeletedSize }},
	{backend.StatusMailboxID, "MAILBOXID", nil},
	{statusAppendLimit, "APPENDLIMIT", nil},
}

// statusAppendLimit is the item APPENDLIMIT, of which storage knows nothing.
const statusAppendLimit backend.StatusItems = 1 << 15

// ofStorage returns the items that storage is asked for.
func ofStorage(items backend.StatusItems) backend.StatusItems { return items &^ statusAppendLimit }

// statusItems reads the list of items, which must not be empty.
func statusItems(d *imapwire.Decoder) backend.StatusItems {
	var items backend.StatusItems
	d.List(func() {
		at := d.Pos()
		word := d.Word()
		for _, s := range statusNames {
			if s.name == word {
				items |= s.item
				return
			}
		}
		if d.OK() {
			d.FailAt(at, "unknown status item "+quote(d.Since(at)))
		}
	})
	if items == 0 {
		d.Fail("empty list of status items")
	}
	return items
}

// statusEnables turns CONDSTORE on if HIGHESTMODSEQ is asked for.
func (r *request) statusEnables(items backend.StatusItems) {
	if items&backend.StatusHighestModSeq != 0 {
		r.enableCondstore()
	}
}

// appendStatus appends a STATUS response (RFC 3501 §7.2.4). name is as the client knows it.
func (r *request) appendStatus(b []byte, name []byte, items backend.StatusItems, st *backend.MailboxStatus) []byte {
	if r.srv.modseqs == nil { // RFC 7162 §3.1.7
		none := *st
		none.HighestModSeq, st = 0, &none
	}
	b = append(b, "* STATUS "...)
	b = r.appendSent(b, name)
	sep := byte('(')
	b = append(b, ' ')
	for _, s := range statusNames {
		if items&s.item == 0 {
			continue
		}
		b = append(b, sep)
		sep = ' '
		switch s.item {
		case backend.StatusMailboxID:
			b = appendMailboxID(b, st.MailboxID)
		case statusAppendLimit:
			b = r.srv.appendAppendLimit(b)
		default:
			b = append(b, s.name...)
			b = imapwire.AppendNumber(append(b, ' '), s.value(st))
		}
	}
	return append(b, ")\r\n"...)
}

package imap

import (
	"crypto/sha1"
	"encoding/hex"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
)

// OBJECTID (RFC 8474), where storage has ids that are good for it: MAILBOXID is the GUID of the mailbox, in the answers to SELECT, EXAMINE,
// CREATE and STATUS; EMAILID is made of the GUID of the message. There are no THREADIDs: they are NIL, and SEARCH finds none (§5.2).
//
// A letter before each of them keeps ids of mailboxes and of messages apart (§8.1).

// appendMailboxID appends "MAILBOXID (F…)".
func appendMailboxID(b []byte, id [16]byte) []byte {
	return append(hex.AppendEncode(append(b, "MAILBOXID (F"...), id[:]), ')')
}

// appendEmailID appends the ObjectID of a message, whose GUID may be any string: 32 hex digits stay, of others it is
// a hash, the one by which Dovecot shortens GUIDs (src/lib-storage/mail-storage.c, mail_generate_guid_128_hash).
func appendEmailID(b []byte, guid string) []byte {
	b = append(b, 'M')
	var id [16]byte
	if n, err := hex.Decode(id[:], []byte(guid[:min(len(guid), 2*len(id))])); err != nil || n != len(id) || len(guid) != 2*len(id) {
		sum := sha1.Sum([]byte(guid))
		copy(id[:], sum[len(sum)-len(id):])
	}
	return hex.AppendEncode(b, id[:])
}

// appendEmailIDItem appends the FETCH item (RFC 8474 §5.3).
func appendEmailIDItem(b []byte, guid string) []byte {
	return append(appendEmailID(append(b, "EMAILID ("...), guid), ')')
}

// maxObjectID is how long an objectid may be (RFC 8474 §7).
const maxObjectID = 255

// objectID reads SP objectid.
func objectID(d *imapwire.Decoder) string {
	d.SP()
	at := d.Pos()
	id := d.Atom()
	for _, c := range id {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			d.FailAt(at, "invalid objectid")
		}
	}
	if len(id) > maxObjectID {
		d.FailAt(at, "objectid is too long")
	}
	return string(id)
}

// tellMailboxID adds the id of a mailbox that was created to the tagged response (RFC 8474 §4.1). That is not said of one
// that is gone or can not be read by now: it was created nevertheless.
func (r *request) tellMailboxID(ref backend.MailboxRef) {
	all, err := r.srv.boxes.Status(r.ctx, ref.User, ref.Namespace, []string{ref.Name}, backend.StatusMailboxID)
	if err == nil && all[0].Err != nil {
		err = all[0].Err
	}
	if err != nil {
		r.logError(err)
		return
	}
	r.ok.code = string(appendMailboxID(nil, all[0].MailboxID))
}

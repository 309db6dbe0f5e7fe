package imap

import (
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/session"
)

// The result of SEARCH RETURN (SAVE), "$" (RFC 5182), is kept with the session as a set of UIDs. UIDs are not
// used again, so that what is expunged leaves it by itself. Form, uvarints: for each range the distance from the
// end of the one before to its first UID, and how many more UIDs it has.

const limitSavedResult = "[limits] saved_result"

// saveResult keeps ranges of UIDs, unless that takes too much room.
func (r *request) saveResult(uids []imapwire.NumRange) error {
	b := appendResult(nil, uids)
	if most := r.srv.cfg.SavedResult; most > 0 && len(b) > most {
		r.srv.savedRefused.Hit(r.s, limitSavedResult, "user", r.user().Name)
		return no("NOTSAVED", "Search result exceeds "+limitSavedResult+" = "+strconv.Itoa(most)+" bytes.") // RFC 5182 §2.1
	}
	r.srv.setResult(r.s, slices.Clip(b))
	return nil
}

// setResult sets what "$" stands for; nil is empty.
func (srv *Server) setResult(s *session.Session, b []byte) {
	if len(b) == 0 && s.Extra() == nil {
		return
	}
	change(s, func(x *extra) {
		srv.savedBytes.Add(int64(len(b) - len(x.found)))
		x.found = b
	})
}

// savedResult returns the UIDs of "$".
func (r *request) savedResult() msgSet {
	set := msgSet{uid: true}
	if x, _ := r.s.Extra().(*extra); x != nil {
		set.NumSet, _ = decodeResult(x.found)
	}
	return set
}

func appendResult(b []byte, uids []imapwire.NumRange) []byte {
	last := uint32(0)
	for _, u := range uids {
		b = binary.AppendUvarint(b, uint64(u.Start-last))
		b = binary.AppendUvarint(b, uint64(u.Stop-u.Start))
		last = u.Stop
	}
	return b
}

// decodeResult is the inverse of appendResult. ok is false for what can not have come from there.
func decodeResult(b []byte) (uids imapwire.NumSet, ok bool) {
	last := uint64(0)
	for len(b) > 0 {
		gap, n := binary.Uvarint(b)
		more, m := uint64(0), 0
		if n > 0 {
			more, m = binary.Uvarint(b[n:])
		}
		const most = 1<<32 - 1
		if n <= 0 || m <= 0 || gap == 0 || gap > most-last || more > most-last-gap {
			return nil, false
		}
		b = b[n+m:]
		first := last + gap
		last = first + more
		uids = append(uids, imapwire.NumRange{Start: uint32(first), Stop: uint32(last)})
	}
	return uids, true
}

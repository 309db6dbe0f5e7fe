package imap

import (
	"time"

	"github.com/roostmail/roost/core/imapwire"
)

// SAVEDATE (RFC 8514): FETCH SAVEDATE, and SEARCH SAVEDBEFORE, SAVEDON, SAVEDSINCE and SAVEDATESUPPORTED, where storage knows when
// messages came into their mailboxes. Of a message of which it does not, the date is NIL (§4.2), and INTERNALDATE is searched (§4.3).

// appendSaveDate appends the FETCH item; unix is 0 if the date is not known.
func appendSaveDate(b []byte, unix int64) []byte {
	b = append(b, "SAVEDATE "...)
	if unix == 0 {
		return append(b, "NIL"...) // RFC 8514 §4.2
	}
	return imapwire.AppendDateTime(b, time.Unix(unix, 0))
}

// savedOf returns the date that the SAVED… keys compare.
func (f *facts) savedOf() int64 {
	if f.saved == 0 {
		return f.date // RFC 8514 §4.3
	}
	return f.saved
}

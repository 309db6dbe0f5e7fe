package imap

import (
	"strconv"

	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
)

// MESSAGELIMIT and SAVELIMIT (RFC 9738). FETCH, STORE, SEARCH, MOVE and UID EXPUNGE do what they can: they process the newest messages of those that
// are asked for, and name the lowest UID that was, from which a client goes on. COPY and APPEND are all or nothing.

const (
	limitCommandMessages = "[limits] command_messages"
	limitSaveMessages    = "[limits] save_messages"
)

// appendLimits appends the capabilities.
func (c *Config) appendLimits(b []byte) []byte {
	if c.CommandMessages > 0 {
		b = imapwire.AppendNumber(append(b, " MESSAGELIMIT="...), uint64(c.CommandMessages))
	}
	if c.SaveMessages > 0 {
		b = imapwire.AppendNumber(append(b, " SAVELIMIT="...), uint64(c.SaveMessages))
	}
	return b
}

// limited returns the last messages of ranges that a command may process, and notes the response code if these are not all.
func (r *request) limited(ranges []mailbox.SeqRange) []mailbox.SeqRange {
	most := uint32(r.srv.cfg.CommandMessages)
	if most == 0 || countSeqs(ranges) <= most {
		return ranges
	}
	ranges = lastSeqs(ranges, most)
	m, _ := r.view.Message(ranges[0].First)
	r.limit = "MESSAGELIMIT " + strconv.Itoa(int(most)) + " " + strconv.FormatUint(uint64(m.UID), 10)
	return ranges
}

// refuseSave refuses to save n messages at once, if that is too many (RFC 9738 §3.3).
func (r *request) refuseSave(n int, copies bool) error {
	most, name := r.srv.cfg.SaveMessages, limitSaveMessages
	if c := r.srv.cfg.CommandMessages; copies && c > 0 && (most == 0 || c < most) {
		most, name = c, limitCommandMessages
	}
	if most == 0 || n <= most {
		return nil
	}
	return no("MESSAGELIMIT "+strconv.Itoa(most), "Too many messages at once ("+name+").")
}

// limitSearch lets a program of SEARCH look at the last messages only, of those that its sets leave.
func (r *request) limitSearch(key *searchKey) {
	ranges := r.view.All()
	if key.op == searchAnd {
		for i := range key.keys {
			if k := &key.keys[i]; k.op == searchSet {
				ranges = bothSeqs(ranges, k.ranges)
			}
		}
	}
	if less := r.limited(ranges); r.limit != "" {
		*key = searchKey{op: searchAnd, keys: []searchKey{{op: searchSet, ranges: less}, *key}}
	}
}

func countSeqs(ranges []mailbox.SeqRange) (n uint32) {
	for _, r := range ranges {
		n += uint32(r.Last-r.First) + 1
	}
	return n
}

// lastSeqs returns the last n numbers of ranges, which have more.
func lastSeqs(ranges []mailbox.SeqRange, n uint32) []mailbox.SeqRange {
	for i := len(ranges) - 1; ; i-- {
		r := ranges[i]
		if size := uint32(r.Last-r.First) + 1; size < n {
			n -= size
			continue
		}
		out := append([]mailbox.SeqRange(nil), ranges[i:]...)
		out[0].First = r.Last - mailbox.SeqNum(n) + 1
		return out
	}
}

// bothSeqs returns what is in both of two ascending lists.
func bothSeqs(a, b []mailbox.SeqRange) (out []mailbox.SeqRange) {
	for len(a) > 0 && len(b) > 0 {
		if first, last := max(a[0].First, b[0].First), min(a[0].Last, b[0].Last); first <= last {
			out = append(out, mailbox.SeqRange{First: first, Last: last})
		}
		if a[0].Last < b[0].Last {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}

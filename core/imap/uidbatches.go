package imap

import (
	"math"
	"strconv"

	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
)

// minBatch is the smallest batch that a client may ask for; RFC 10022 wants 500 and more to be allowed.
const minBatch = 500

// UIDBATCHES (RFC 10022 §3): SP messages [SP first ":" last]. The answer are ranges of UIDs that cover the mailbox, the newest messages first,
// with so many messages in each (the oldest may have less), or of these the first to the last one.
func runUIDBatches(r *request) error {
	r.d.SP()
	size := r.d.NZNumber()
	first, last := uint32(1), uint32(math.MaxUint32)
	if r.d.TrySP() {
		first = r.d.NZNumber()
		r.d.Byte(':')
		last = r.d.NZNumber()
	}
	if err := r.end(); err != nil {
		return err
	}
	if last < first {
		return &response{"BAD", "CLIENTBUG", "Batches are counted from the newest one."}
	}
	if size < minBatch {
		return no("TOOFEW", "Batches have "+strconv.Itoa(minBatch)+" messages at least.")
	}
	b := r.s.Buffer()
	*b = append(*b, "* UIDBATCHES (TAG "...)
	*b = append(imapwire.AppendQuoted(*b, r.tag), ')')
	sep := byte(' ')
	for i := uint64(first); i <= uint64(last); i++ {
		high, low, ok := batch(r.view, uint64(size), i)
		if !ok {
			break
		}
		*b = imapwire.AppendNumber(append(*b, sep), uint64(high))
		*b = imapwire.AppendNumber(append(*b, ':'), uint64(low))
		sep = ','
	}
	*b = append(*b, '\r', '\n')
	return gone(r.s.Commit())
}

// batch returns the UIDs of batch i of a view, counted from 1, the newest: from the one of its newest message down to the one behind
// the next batch. ok is false if there are not so many.
func batch(v *mailbox.View, size, i uint64) (high, low uint32, ok bool) {
	n := uint64(v.Len())
	if (i-1) > n/size || (i-1)*size >= n {
		return 0, 0, false
	}
	newest, _ := v.Message(mailbox.SeqNum(n - (i-1)*size))
	low = 1
	if i*size < n {
		older, _ := v.Message(mailbox.SeqNum(n - i*size))
		low = uint32(older.UID) + 1
	}
	return uint32(newest.UID), low, true
}

package imap

import (
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
)

// partialRange is a page of results: from the first to the last one wanted, counted from 1 (RFC 9394 §4: partial-range).
// The zero value is none.
type partialRange struct {
	first, last uint32
	fromEnd     bool // they are counted from the end: -1 is the last result
}

// parsePartialRange reads SP partial-range. The two ends may come in any order (RFC 5267 §4.4).
func parsePartialRange(d *imapwire.Decoder) (p partialRange) {
	d.SP()
	p.fromEnd = d.TryByte('-')
	p.first = d.NZNumber()
	d.Byte(':')
	if p.fromEnd {
		d.Byte('-')
	}
	p.last = d.NZNumber()
	if p.first > p.last {
		p.first, p.last = p.last, p.first
	}
	return p
}

func (p partialRange) wanted() bool { return p.first != 0 }

// of returns the page of n results: the first and last one, counted from 1. Without results last is less than first.
func (p partialRange) of(n uint32) (first, last uint32) {
	first, last = p.first, min(p.last, n)
	if p.fromEnd {
		if p.first > n {
			return 1, 0
		}
		first, last = n-last+1, n-p.first+1
	}
	return first, last
}

// append appends the range as it is answered.
func (p partialRange) append(b []byte) []byte {
	for i, n := range [...]uint32{p.first, p.last} {
		if i > 0 {
			b = append(b, ':')
		}
		if p.fromEnd {
			b = append(b, '-')
		}
		b = imapwire.AppendNumber(b, uint64(n))
	}
	return b
}

// pageOf returns the page of the messages in ranges that FETCH would answer (RFC 9394 §3.3, §3.4).
func (a *fetchArgs) pageOf(v *mailbox.View, ranges []mailbox.SeqRange) (page []mailbox.SeqRange) {
	wanted := func(m mailbox.Message) bool { return !a.conditional || m.ModSeq > a.changedSince }
	n := uint32(0)
	for m := range v.Messages(ranges) {
		if wanted(m) {
			n++
		}
	}
	first, last := a.page.of(n)
	n = 0
	for m := range v.Messages(ranges) {
		if !wanted(m) {
			continue
		}
		if n++; n < first || n > last {
			continue
		}
		if k := len(page); k > 0 && page[k-1].Last+1 == m.Seq {
			page[k-1].Last = m.Seq
		} else {
			page = append(page, mailbox.SeqRange{First: m.Seq, Last: m.Seq})
		}
	}
	return page
}

package imap

import (
	"github.com/roostmail/roost/core/imapwire"
)

// searchReturn are the result options of SEARCH (RFC 4731 §3.1, RFC 5182 §2.1).
type searchReturn struct {
	extended                   bool // there are any: the answer is ESEARCH
	min, max, all, count, save bool
}

// parseSearchReturn reads [SP "RETURN" SP "(" [option *(SP option)] ")"]. None in the list is ALL.
func parseSearchReturn(d *imapwire.Decoder) (o searchReturn) {
	before := *d
	d.SP()
	if !d.TryWord("RETURN") {
		*d = before
		return o
	}
	o.extended = true
	d.SP()
	n := d.List(func() {
		switch at := d.Pos(); d.Word() {
		case "MIN":
			o.min = true
		case "MAX":
			o.max = true
		case "ALL":
			o.all = true
		case "COUNT":
			o.count = true
		case "SAVE":
			o.save = true
		default:
			if d.OK() {
				d.FailAt(at, "unknown SEARCH return option "+quote(d.Since(at)))
			}
		}
	})
	o.all = o.all || n == 0
	return o
}

// searchResult is what an extended SEARCH answers and saves.
type searchResult struct {
	want     searchReturn
	count    uint32
	min, max uint32 // numbers as the command wants them; 0 = nothing was found
	all      []imapwire.NumRange
	modseq   uint64              // 0 = not told
	saved    []imapwire.NumRange // UIDs
}

// result sums up what was found. With MIN or MAX, or both, and nothing else, only these messages are saved (RFC 5182 §2.4), and
// MODSEQ is theirs (RFC 4731 §3.2).
func (s *search) result(o searchReturn, uid bool) *searchResult {
	res := &searchResult{want: o}
	onlyEnds := (o.min || o.max) && !o.all && !o.count
	add := func(rs []imapwire.NumRange, n uint32) []imapwire.NumRange {
		if k := len(rs); k > 0 && rs[k-1].Stop+1 == n {
			rs[k-1].Stop = n
			return rs
		}
		return append(rs, imapwire.NumRange{Start: n, Stop: n})
	}
	var first, last found
	for m := range s.view.Messages(s.view.All()) {
		if !s.found[m.Seq-1] {
			continue
		}
		last = found{uint32(m.Seq), uint32(m.UID), m.ModSeq}
		if uid {
			last.number = last.uid
		}
		if res.count++; res.count == 1 {
			first = last
		}
		if onlyEnds {
			continue
		}
		res.modseq = max(res.modseq, m.ModSeq)
		if o.all {
			res.all = add(res.all, last.number)
		}
		if o.save {
			res.saved = add(res.saved, last.uid)
		}
	}
	res.min, res.max = first.number, last.number
	if onlyEnds && res.count > 0 {
		if o.min {
			res.saved, res.modseq = add(nil, first.uid), first.modseq
		}
		if o.max && (!o.min || res.count > 1) {
			res.saved, res.modseq = add(res.saved, last.uid), max(res.modseq, last.modseq)
		}
	}
	if !s.key.hasModSeq() { // RFC 7162 §3.1.10
		res.modseq = 0
	}
	return res
}

// found is a message that a search has found.
type found struct {
	number, uid uint32
	modseq      uint64
}

// write writes the ESEARCH response (RFC 4731 §3.1), in Dovecot's order. What is only saved is not told (RFC 5182 §2.1).
func (res *searchResult) write(out output, tag []byte, uid bool) error {
	if !res.want.min && !res.want.max && !res.want.all && !res.want.count {
		return nil
	}
	b := out.Buffer()
	*b = append(*b, "* ESEARCH (TAG "...)
	*b = append(imapwire.AppendQuoted(*b, tag), ')')
	if uid {
		*b = append(*b, " UID"...)
	}
	put := func(ok bool, name string, n uint64) {
		if ok {
			*b = imapwire.AppendNumber(append(append(append(*b, ' '), name...), ' '), n)
		}
	}
	put(res.want.min && res.count > 0, "MIN", uint64(res.min))
	put(res.want.max && res.count > 0, "MAX", uint64(res.max))
	if len(res.all) > 0 {
		*b = append(*b, " ALL "...)
		for i := range res.all {
			if i > 0 {
				*b = append(*b, ',')
			}
			*b = imapwire.AppendNumSet(*b, res.all[i:i+1])
			if len(*b) >= fetchFlush {
				out.Commit()
			}
		}
	}
	put(res.want.count, "COUNT", uint64(res.count))
	put(res.modseq > 0, "MODSEQ", res.modseq)
	*b = append(*b, '\r', '\n')
	return gone(out.Commit())
}

package imap

import (
	"slices"

	"github.com/roostmail/roost/core/imapwire"
)

// searchReturn are the result options of SEARCH (RFC 4731 §3.1, RFC 5182 §2.1, RFC 9394 §3.1) and SORT (RFC 5267 §3.1).
type searchReturn struct {
	extended                   bool // there are any: the answer is ESEARCH
	min, max, all, count, save bool
	partial                    partialRange

	update bool   // RFC 5267 §4.3
	fetch  string // items of new messages, with parentheses (RFC 5465 §6)
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
	hints := 0
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
		case "CONTEXT": // RFC 5267 §4.2: a hint
			hints++
		case "UPDATE":
			if o.update {
				d.FailAt(at, "UPDATE is there twice")
			}
			o.update = true
			o.parseUpdate(d)
		case "PARTIAL":
			if o.partial.wanted() {
				d.FailAt(at, "PARTIAL is there twice") // RFC 9394 §3.1
			}
			o.partial = parsePartialRange(d)
		default:
			if d.OK() {
				d.FailAt(at, "unknown SEARCH return option "+quote(d.Since(at)))
			}
		}
	})
	if o.all && o.partial.wanted() { // RFC 9394 §3.1
		d.Fail("ALL and PARTIAL exclude each other")
	}
	o.all = o.all || n == hints
	return o
}

// parseUpdate reads [SP "(" fetch-att *(SP fetch-att) ")"] behind UPDATE (RFC 5465 §6).
func (o *searchReturn) parseUpdate(d *imapwire.Decoder) {
	before := *d
	if !d.TrySP() || d.Peek() != '(' {
		*d = before
		return
	}
	at := d.Pos()
	var items fetchArgs
	if d.List(func() { items.item(d, d.Name(), true) }) == 0 {
		d.Fail("FETCH list is empty")
	}
	o.fetch = string(d.Since(at))
}

// check refuses what the command's grammar allows, and its meaning does not.
func (o *searchReturn) check(r *request) error {
	if o.update && r.tagInUse() { // RFC 5267 §4.3
		return bad("The tag is that of another search with UPDATE.")
	}
	return nil
}

// searchResult is what an extended SEARCH or SORT answers and saves.
type searchResult struct {
	want     searchReturn
	count    uint32
	min, max uint32 // the first and last one as the command wants them; 0 = nothing was found
	all      []imapwire.NumRange
	partial  []imapwire.NumRange
	modseq   uint64              // 0 = not told
	saved    []imapwire.NumRange // UIDs

	mailbox     []byte // of ESEARCH: as it is written; nil = not told
	uidValidity uint32
}

// result sums up what was found. With MIN, MAX or PARTIAL, and neither ALL nor COUNT, only what is returned is saved (RFC 5182 §2.4,
// RFC 9394 §3.2), and MODSEQ is that of what is returned (RFC 4731 §3.2).
func (s *search) result(o searchReturn, uid bool) *searchResult {
	res := &searchResult{want: o}
	onlyPart := (o.min || o.max || o.partial.wanted()) && !o.all && !o.count
	var saved []uint32
	n := uint32(0)
	for range s.matches() {
		n++
	}
	first, last := o.partial.of(n)
	for m := range s.matches() {
		res.count++
		number := uint32(m.Seq)
		if uid {
			number = uint32(m.UID)
		}
		returned := !onlyPart
		if res.count == 1 {
			res.min = number
			returned = returned || o.min
		}
		if res.count == n {
			res.max = number
			returned = returned || o.max
		}
		if o.all {
			res.all = addNumber(res.all, number)
		}
		if o.partial.wanted() && first <= res.count && res.count <= last {
			res.partial = addNumber(res.partial, number)
			returned = true
		}
		if returned {
			res.modseq = max(res.modseq, m.ModSeq)
			if o.save {
				saved = append(saved, uint32(m.UID))
			}
		}
	}
	slices.Sort(saved) // SORT has them in its order
	res.saved = imapwire.RangesOf(saved)
	if !s.key.hasModSeq() { // RFC 7162 §3.1.10
		res.modseq = 0
	}
	return res
}

// addNumber adds a number to ranges, which are in the order of the result: only numbers that follow each other make one (RFC 5267 §3.2).
func addNumber(rs []imapwire.NumRange, n uint32) []imapwire.NumRange {
	if k := len(rs); k > 0 && rs[k-1].Stop+1 == n {
		rs[k-1].Stop = n
		return rs
	}
	return append(rs, imapwire.NumRange{Start: n, Stop: n})
}

// write writes the ESEARCH response (RFC 4731 §3.1), in Dovecot's order. What is only saved is not told (RFC 5182 §2.1).
func (res *searchResult) write(out output, tag []byte, uid bool) error {
	if !res.want.min && !res.want.max && !res.want.all && !res.want.count && !res.want.partial.wanted() && !res.want.update {
		return nil
	}
	b := out.Buffer()
	*b = append(*b, "* ESEARCH (TAG "...)
	*b = imapwire.AppendQuoted(*b, tag)
	if res.mailbox != nil { // RFC 7377 §2.1
		*b = append(append(*b, " MAILBOX "...), res.mailbox...)
		*b = imapwire.AppendNumber(append(*b, " UIDVALIDITY "...), uint64(res.uidValidity))
	}
	*b = append(*b, ')')
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
		writeRanges(out, res.all)
	}
	if res.want.partial.wanted() { // RFC 9394 §3.1
		*b = append(res.want.partial.append(append(*b, " PARTIAL ("...)), ' ')
		if len(res.partial) == 0 {
			*b = append(*b, "NIL"...)
		}
		writeRanges(out, res.partial)
		*b = append(*b, ')')
	}
	put(res.want.count, "COUNT", uint64(res.count))
	put(res.modseq > 0, "MODSEQ", res.modseq)
	*b = append(*b, '\r', '\n')
	return gone(out.Commit())
}

// writeRanges writes a set of numbers, which may be long.
func writeRanges(out output, ranges []imapwire.NumRange) {
	b := out.Buffer()
	for i := range ranges {
		if i > 0 {
			*b = append(*b, ',')
		}
		*b = imapwire.AppendNumSet(*b, ranges[i:i+1])
		if len(*b) >= fetchFlush {
			out.Commit()
		}
	}
}

package imap

import (
	"slices"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/message"
)

// SORT and UID SORT (RFC 5256 §3; DISPLAYFROM and DISPLAYTO: RFC 5957 §3; RETURN: RFC 5267 §3): [SP "RETURN" SP options]
// SP criteria SP charset SP search keys.
//
//	sort_keys.go  what is compared: columns, read from storage in one call
//	sort_order.go the order
//
// What matches is found as SEARCH does (search.go). Keys are header fields and dates, which storage has in a cache; no body is read for them.
func runSort(r *request) error {
	options := parseSearchReturn(&r.d)
	err := r.sort(options)
	if err != nil && options.save && !isBad(err) { // RFC 5182 §2.1
		r.srv.setResult(r.s, nil)
	}
	return err
}

func (r *request) sort(options searchReturn) error {
	r.d.SP()
	at := r.d.Pos()
	criteria := parseSortCriteria(&r.d)
	text := string(r.d.Since(at))
	r.d.SP()
	charset := r.d.AString()
	p, key, err := r.parseProgram(charset)
	if err == nil {
		err = options.check(r)
	}
	if err != nil {
		return err
	}
	s, err := r.find(key)
	if err != nil {
		return err
	}
	if err := s.sort(criteria, text); err != nil {
		return err
	}
	return r.answerSearch(s, options, "SORT", searchContext{criteria: text, charset: string(charset), program: p.text()})
}

// parseProgram reads 1*(SP search-key), behind the charset.
func (r *request) parseProgram(charset []byte) (*searchParser, *searchKey, error) {
	p := &searchParser{d: &r.d, view: r.view, saved: r.savedResult, filters: r.filters()}
	key, err := p.parse(charset)
	return p, key, err
}

// sortCriterion is one sort-criterion (RFC 5256 §5).
type sortCriterion struct {
	sortField
	reverse bool
}

// sortField is what a criterion compares: a number that storage has, or a header field.
type sortField struct {
	item  backend.FetchItems // size or INTERNALDATE; 0: the header field
	field string
	// text appends what is compared of the field; nil: the date in it.
	text func(dst []byte, f message.Field) []byte
}

// sortFields are the sort-keys of RFC 5256 §3 and RFC 5957 §3.
var sortFields = map[string]sortField{
	"ARRIVAL":     {item: backend.FetchInternalDate},
	"CC":          {field: "CC", text: message.AppendAddressKey},
	"DATE":        {field: "DATE"},
	"FROM":        {field: "FROM", text: message.AppendAddressKey},
	"SIZE":        {item: backend.FetchSize},
	"SUBJECT":     {field: "SUBJECT", text: appendSubjectKey},
	"TO":          {field: "TO", text: message.AppendAddressKey},
	"DISPLAYFROM": {field: "FROM", text: message.AppendDisplayKey},
	"DISPLAYTO":   {field: "TO", text: message.AppendDisplayKey},
}

func appendSubjectKey(dst []byte, f message.Field) []byte {
	dst, _ = message.AppendBaseSubject(dst, f)
	return dst
}

// parseSortCriteria reads "(" sort-criterion *(SP sort-criterion) ")". A key that was there before decides nothing any more, and is
// left out.
func parseSortCriteria(d *imapwire.Decoder) []sortCriterion {
	var criteria []sortCriterion
	seen := map[string]bool{}
	reverse, open := false, false
	n := d.List(func() {
		at := d.Pos()
		word := d.Word()
		if open = word == "REVERSE"; open { // RFC 5256 §3
			reverse = !reverse
			return
		}
		f, ok := sortFields[word]
		if !ok && d.OK() {
			d.FailAt(at, "unknown sort key "+quote(d.Since(at)))
		}
		if !seen[word] {
			seen[word] = true
			criteria = append(criteria, sortCriterion{f, reverse})
		}
		reverse = false
	})
	if d.OK() && (n == 0 || open) {
		d.Fail("expected sort key")
	}
	return criteria
}

// sort puts what was found in order. text is what the client has written for the criteria.
func (s *search) sort(criteria []sortCriterion, text string) error {
	about := aboutOrder(text)
	return s.once(about, s.keeps(s.count()), s.orderOf, func() error { return s.findOrder(criteria, about) })
}

func (s *search) findOrder(criteria []sortCriterion, about string) error {
	found := slices.AppendSeq(make([]mailbox.Message, 0, s.count()), s.matches())
	k := newSortKeys(s.srv.cfg.SortMemory, criteria, len(found))
	if err := s.collect(found, k); err != nil {
		return err
	}
	order, err := k.order(s.breathe, s.ctx.Err)
	if err != nil {
		return err
	}
	if gone := slices.Contains(k.came, false); gone { // expunged meanwhile
		order = slices.DeleteFunc(order, func(i uint32) bool {
			if !k.came[i] {
				s.found[found[i].Seq-1] = false
			}
			return !k.came[i]
		})
	} else if s.keeps(len(found)) {
		s.keepOrder(about, found, order)
	}
	s.order = make([]mailbox.SeqNum, len(order))
	for n, i := range order {
		s.order[n] = found[i].Seq
	}
	return nil
}

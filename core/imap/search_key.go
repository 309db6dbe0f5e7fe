package imap

import (
	"slices"

	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/message"
)

// searchKey is a node of a search program (RFC 3501 §6.4.4).
type searchKey struct {
	op   searchOp
	keys []searchKey // of searchAnd, searchOr, searchNot

	ranges  []mailbox.SeqRange // searchSet
	numbers bool               // searchSet: ranges were sequence numbers
	flag    uint8              // searchFlag
	keyword int                // searchKeyword: number, -1 = nobody has it
	number  uint64             // searchLarger, searchSmaller, searchModSeq
	day     int64              // of dates: days since 1970
	moment  int64              // searchOlder, searchYounger: UNIX time that INTERNALDATE is compared with
	sent    bool               // the date is that of the Date field, not INTERNALDATE
	saved   bool               // the date is the save date; searchAll: SAVEDATESUPPORTED
	thread  bool               // searchAll: of THREADID
	id      string             // searchEmailID
	field   string             // searchField: name in upper case
	match   message.FieldMatch
	pattern message.Pattern
}

// searchOp says what a key compares.
type searchOp uint8

const (
	searchAll searchOp = iota
	searchAnd
	searchOr
	searchNot
	searchSet
	searchFlag
	searchRecent
	searchKeyword
	searchModSeq
	searchBefore
	searchOn
	searchSince
	searchOlder   // RFC 5032
	searchYounger // RFC 5032
	searchEmailID // RFC 8474 §6
	searchLarger
	searchSmaller
	searchField
	searchBody
	searchText
)

// searchPhase is what has to be read to decide a key. A search goes through the phases in
// order, each with the messages that are still undecided.
type searchPhase uint8

const (
	phaseView   searchPhase = iota // nothing: flags, UIDs, modseqs
	phaseMeta                      // sizes and dates
	phaseHeader                    // header fields
	phaseBody                      // the whole message
	phaseCount
)

// phase returns the phase in which the key can be decided.
func (k *searchKey) phase() searchPhase {
	switch k.op {
	case searchAnd, searchOr, searchNot:
		p := phaseView
		for i := range k.keys {
			p = max(p, k.keys[i].phase())
		}
		return p
	case searchLarger, searchSmaller, searchOlder, searchYounger, searchEmailID:
		return phaseMeta
	case searchBefore, searchOn, searchSince:
		if k.sent {
			return phaseHeader
		}
		return phaseMeta
	case searchField:
		return phaseHeader
	case searchBody, searchText:
		return phaseBody
	}
	return phaseView
}

// order puts cheap keys before dear ones, as far as that does not change the result.
func (k *searchKey) order() {
	for i := range k.keys {
		k.keys[i].order()
	}
	slices.SortStableFunc(k.keys, func(a, b searchKey) int { return int(a.phase()) - int(b.phase()) })
}

// uses reports what of a phase is needed: sizes, dates, and the names of header fields.
func (k *searchKey) uses(n *searchNeeds) {
	for i := range k.keys {
		k.keys[i].uses(n)
	}
	switch k.op {
	case searchLarger, searchSmaller:
		n.size = true
	case searchBefore, searchOn, searchSince:
		if k.sent {
			n.addField("DATE")
		} else {
			n.date = true
			n.saved = n.saved || k.saved
		}
	case searchAll:
		n.saved, n.thread = n.saved || k.saved, n.thread || k.thread
	case searchEmailID:
		n.guid = true
	case searchOlder, searchYounger:
		n.date = true
	case searchField:
		n.addField(k.field)
	}
}

// searchNeeds is what a search program reads.
type searchNeeds struct {
	size, date  bool
	saved, guid bool
	thread      bool // asks for threads
	fields      []string
}

func (n *searchNeeds) addField(name string) {
	if !slices.Contains(n.fields, name) {
		n.fields = append(n.fields, name)
	}
}

// hasModSeq reports whether a MODSEQ key is in the program: the answer then has one, too (RFC 7162 §3.1.5).
func (k *searchKey) hasModSeq() bool {
	return k.op == searchModSeq || slices.ContainsFunc(k.keys, func(c searchKey) bool { return c.hasModSeq() })
}

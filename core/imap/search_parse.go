package imap

import (
	"strings"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/message"
)

// searchParser reads search programs. View resolves message sets and keywords.
type searchParser struct {
	d       *imapwire.Decoder
	view    *mailbox.View
	saved   func() msgSet // what "$" stands for
	charset message.Charset
	utf8    bool     // the charset is UTF-8, or a part of it
	filters *filters // nil: there are none

	at     int // where the key begins that is read
	begin  int // where the keys begin
	frozen []frozenSet
}

// frozenSet is a set of messages in a program that means the messages which had these numbers then.
type frozenSet struct {
	at, end int // bytes of the program
	uids    []imapwire.NumRange
	text    string // not empty: what a filter stands for, instead
}

// freeze notes that the key which was read means the messages in ranges, whatever becomes of their numbers.
func (p *searchParser) freeze(ranges []mailbox.SeqRange) {
	p.frozen = append(p.frozen, frozenSet{at: p.at, end: p.d.Pos(), uids: imapwire.RangesOf(p.view.UIDsOf(ranges))})
}

// text returns the keys that were read with UIDs in place of sequence numbers and "$" (RFC 5267 §4.3: they are evaluated
// at the time the command is received).
func (p *searchParser) text() string {
	var b []byte
	whole, at := p.d.Since(p.begin), p.begin
	for _, f := range p.frozen {
		b = append(b, whole[at-p.begin:f.at-p.begin]...)
		switch {
		case f.text != "":
			b = append(b, f.text...)
		case len(f.uids) == 0:
			b = append(b, "NOT ALL"...)
		default:
			b = imapwire.AppendNumSet(append(b, "UID "...), f.uids)
		}
		at = f.end
	}
	return string(append(b, whole[at-p.begin:]...))
}

// parseSearch reads [SP "CHARSET" SP charset] 1*(SP search-key) (RFC 3501 §9: search). The keys are one searchAnd.
// saved tells what "$" stands for.
func parseSearch(d *imapwire.Decoder, v *mailbox.View, saved func() msgSet) (*searchKey, error) {
	p := searchParser{d: d, view: v, saved: saved}
	return p.parse(parseCharset(d))
}

// parseCharset reads [SP "CHARSET" SP charset].
func parseCharset(d *imapwire.Decoder) (name []byte) {
	before := *d
	d.SP()
	charset := []byte("UTF-8")
	if d.TryWord("CHARSET") {
		d.SP()
		charset = d.AString()
	} else {
		*d = before
	}
	return charset
}

// parse reads 1*(SP search-key), with strings in a charset.
func (p *searchParser) parse(charset []byte) (*searchKey, error) {
	d := p.d
	var ok bool
	if p.charset, ok = message.CharsetNamed(charset); d.OK() && !ok {
		return nil, no("BADCHARSET (US-ASCII UTF-8)", "Charset is not supported.") // RFC 3501 §6.4.4
	}
	p.utf8 = imapwire.EqualFold(charset, "UTF-8") || imapwire.EqualFold(charset, "US-ASCII")
	d.SP()
	p.begin = d.Pos()
	root := &searchKey{op: searchAnd}
	for d.OK() {
		root.keys = append(root.keys, p.key())
		if !d.TrySP() || d.AtEnd() {
			break
		}
	}
	if p.filters != nil && p.filters.err != nil {
		return nil, p.filters.err
	}
	end := *d
	d.End()
	err := d.Err()
	if err == nil {
		*d = end // for text
	}
	return root, err
}

// searchFlags are the keys that ask for a system flag. With "UN" before the name they ask for its absence.
var searchFlags = map[string]uint8{
	"ANSWERED": backend.FlagAnswered,
	"DELETED":  backend.FlagDeleted,
	"DRAFT":    backend.FlagDraft,
	"FLAGGED":  backend.FlagFlagged,
	"SEEN":     backend.FlagSeen,
}

// searchFields are the keys that look into a header field.
var searchFields = map[string]message.FieldMatch{
	"BCC":     message.MatchAddress,
	"CC":      message.MatchAddress,
	"FROM":    message.MatchAddress,
	"TO":      message.MatchAddress,
	"SUBJECT": message.MatchSubject,
}

// searchDates are the keys that compare a date. With "SENT" before the name it is that of the Date field.
var searchDates = map[string]searchOp{"BEFORE": searchBefore, "ON": searchOn, "SINCE": searchSince}

// key reads one search-key.
func (p *searchParser) key() searchKey {
	d := p.d
	p.at = d.Pos()
	switch c := d.Peek(); {
	case c == '(':
		k := searchKey{op: searchAnd}
		if d.List(func() { k.keys = append(k.keys, p.key()) }) == 0 {
			d.Fail("expected search key")
		}
		return k
	case c == '$': // RFC 5182 §2.1
		return p.savedKey()
	case c == '*' || '0' <= c && c <= '9':
		ranges, _ := p.view.Seqs(d.NumSet())
		p.freeze(ranges)
		return searchKey{op: searchSet, ranges: ranges, numbers: true}
	}
	word := d.Word()
	if flag, ok := searchFlags[word]; ok {
		return searchKey{op: searchFlag, flag: flag}
	}
	if flag, ok := searchFlags[strings.TrimPrefix(word, "UN")]; ok {
		return not(searchKey{op: searchFlag, flag: flag})
	}
	if match, ok := searchFields[word]; ok {
		return p.fieldKey(word, match)
	}
	if op, ok := searchDates[strings.TrimPrefix(word, "SENT")]; ok {
		d.SP()
		return searchKey{op: op, day: dayOf(d.Date()), sent: strings.HasPrefix(word, "SENT")}
	}
	if op, ok := searchDates[strings.TrimPrefix(word, "SAVED")]; ok { // RFC 8514 §4.3
		d.SP()
		return searchKey{op: op, day: dayOf(d.Date()), saved: true}
	}
	return p.otherKey(word)
}

// savedKey reads "$": the messages that SEARCH has saved.
func (p *searchParser) savedKey() searchKey {
	p.d.Byte('$')
	ranges := p.view.UIDs(p.saved().NumSet)
	p.freeze(ranges)
	return searchKey{op: searchSet, ranges: ranges}
}

func not(k searchKey) searchKey { return searchKey{op: searchNot, keys: []searchKey{k}} }

// otherKey reads the rest of a key that stands for itself.
func (p *searchParser) otherKey(word string) searchKey {
	d := p.d
	switch word {
	case "ALL":
		return searchKey{op: searchAll}
	case "RECENT":
		return searchKey{op: searchRecent}
	case "OLD":
		return not(searchKey{op: searchRecent})
	case "NEW":
		return searchKey{op: searchAnd, keys: []searchKey{{op: searchRecent}, not(searchKey{op: searchFlag, flag: backend.FlagSeen})}}
	case "KEYWORD":
		return p.keywordKey()
	case "UNKEYWORD":
		return not(p.keywordKey())
	case "UID":
		d.SP()
		if d.Peek() == '$' {
			return p.savedKey()
		}
		return searchKey{op: searchSet, ranges: p.view.UIDs(d.NumSet())}
	case "NOT":
		return not(p.nested())
	case "FUZZY": // RFC 6203 §3, which is not announced: every match is an exact one here, as in a Dovecot without search engine
		return p.nested()
	case "OR":
		return p.orKey()
	case "OLDER":
		return p.withinKey(searchOlder)
	case "YOUNGER":
		return p.withinKey(searchYounger)
	case "LARGER":
		d.SP()
		return searchKey{op: searchLarger, number: d.Number64()}
	case "SMALLER":
		d.SP()
		return searchKey{op: searchSmaller, number: d.Number64()}
	case "HEADER":
		d.SP()
		return p.fieldKey(upper(d.AString()), message.MatchValue)
	case "BODY":
		return searchKey{op: searchBody, pattern: p.pattern()}
	case "TEXT":
		return searchKey{op: searchText, pattern: p.pattern()}
	case "MODSEQ":
		return p.modSeqKey()
	case "FILTER":
		if p.filters != nil {
			return p.filterKey()
		}
	case "SAVEDATESUPPORTED": // RFC 8514 §4.3
		return searchKey{op: searchAll, saved: true}
	case "EMAILID": // RFC 8474 §6
		return searchKey{op: searchEmailID, id: objectID(d)}
	case "THREADID": // RFC 8474 §5.2: nothing has one
		objectID(d)
		return not(searchKey{op: searchAll, thread: true})
	}
	d.Failf("unknown search key %.40q", word)
	return searchKey{}
}

// withinKey reads SP interval, in seconds before now (RFC 5032 §3).
func (p *searchParser) withinKey(op searchOp) searchKey {
	p.d.SP()
	return searchKey{op: op, moment: time.Now().Unix() - int64(p.d.NZNumber())}
}

// nested reads SP key, as the operand of another key.
func (p *searchParser) nested() searchKey {
	p.d.SP()
	p.d.Enter()
	defer p.d.Leave()
	if !p.d.OK() {
		return searchKey{}
	}
	return p.key()
}

// orKey reads the operands of OR. One that is an OR itself adds its own, instead of nesting: clients ask so for any of many keys.
func (p *searchParser) orKey() searchKey {
	k := searchKey{op: searchOr}
	for missing := 2; missing > 0 && p.d.OK(); missing-- {
		before := *p.d
		if p.d.SP(); p.d.TryWord("OR") {
			missing += 2
			continue
		}
		*p.d = before
		k.keys = append(k.keys, p.nested())
	}
	return k
}

func (p *searchParser) keywordKey() searchKey {
	p.d.SP()
	return searchKey{op: searchKeyword, keyword: p.view.Keyword(string(p.d.Atom()))}
}

// fieldKey reads SP string.
func (p *searchParser) fieldKey(name string, match message.FieldMatch) searchKey {
	return searchKey{op: searchField, field: name, match: match, pattern: p.pattern()}
}

// pattern reads SP string.
func (p *searchParser) pattern() message.Pattern {
	p.d.SP()
	s, ok := p.charset.Decode(p.d.AString())
	if !ok {
		p.d.Fail("search string is not valid in its charset")
	}
	return message.NewPattern(string(s))
}

// modSeqKey reads SP [entry-name SP entry-type-req SP] mod-sequence-valzer (RFC 7162 §7). There is one
// modseq per message; the entry is ignored, as §3.1.5 asks for.
func (p *searchParser) modSeqKey() searchKey {
	d := p.d
	d.SP()
	if d.Peek() == '"' {
		d.String()
		d.SP()
		if t := d.Word(); t != "ALL" && t != "PRIV" && t != "SHARED" {
			d.Fail("invalid MODSEQ type")
		}
		d.SP()
	}
	return searchKey{op: searchModSeq, number: d.Number64()}
}

// dayOf returns the day of a time in its location, counted from 1970.
func dayOf(t time.Time) int64 {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400
}

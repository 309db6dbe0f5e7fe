package imap

import (
	"bytes"
	"math"

	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/message"
)

// fetchKind is the kind of a FETCH item (RFC 3501 §6.4.5, RFC 7162 §3.1.6).
type fetchKind uint8

// Kinds up to fetchSize are answered first, as in Dovecot: some clients rely on
// UID or FLAGS coming before what is long.
const (
	fetchFlags fetchKind = iota
	fetchUID
	fetchModSeq
	fetchInternalDate
	fetchSaveDate
	fetchEmailID
	fetchThreadID
	fetchSize
	fetchEnvelope
	fetchBody          // BODY without section
	fetchBodyStructure // BODYSTRUCTURE
	fetchPreview
	fetchBinary     // BINARY[…]
	fetchBinarySize // BINARY.SIZE[…]
	fetchSection    // BODY[…], RFC822, RFC822.HEADER, RFC822.TEXT
)

// fetchItem is one item that a response has.
type fetchItem struct {
	kind    fetchKind
	name    []byte // with a space, as in the response: "BODY[1.MIME]<100> "
	section message.Section
	partial bool
	offset  uint64 // of a partial section
	length  uint64
	lazy    bool // PREVIEW (LAZY)
}

// first reports whether the item belongs to those that are answered first.
func (it *fetchItem) first() bool { return it.kind <= fetchSize }

// part returns the wanted part of a section's content.
func (it *fetchItem) part(b []byte) []byte {
	if !it.partial {
		return b
	}
	return message.Partial(b, it.offset, it.length)
}

// fetchWords are the items that are a single word.
var fetchWords = map[string]fetchItem{
	"FLAGS":         {kind: fetchFlags},
	"UID":           {kind: fetchUID},
	"MODSEQ":        {kind: fetchModSeq},
	"INTERNALDATE":  {kind: fetchInternalDate},
	"SAVEDATE":      {kind: fetchSaveDate},
	"EMAILID":       {kind: fetchEmailID},
	"THREADID":      {kind: fetchThreadID},
	"RFC822.SIZE":   {kind: fetchSize},
	"ENVELOPE":      {kind: fetchEnvelope},
	"BODY":          {kind: fetchBody},
	"BODYSTRUCTURE": {kind: fetchBodyStructure},
	"RFC822":        {kind: fetchSection},
	"RFC822.HEADER": {kind: fetchSection, section: message.Section{Kind: message.SectionHeader}},
	"RFC822.TEXT":   {kind: fetchSection, section: message.Section{Kind: message.SectionText}},
}

// fetchMacros are words that stand for several items and may not be part of a list.
var fetchMacros = map[string][]string{
	"ALL":  {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"},
	"FAST": {"FLAGS", "INTERNALDATE", "RFC822.SIZE"},
	"FULL": {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"},
}

// fetchArgs is what follows the message set of a FETCH command.
type fetchArgs struct {
	items        []fetchItem // those with first() first, otherwise in the order of the command
	changedSince uint64      // only messages with a larger modseq
	conditional  bool        // there is a changedSince
	vanished     bool        // and expunged messages are wanted
	seen         bool        // an item sets \Seen
	page         partialRange
}

// add adds an item in its place. An item that is there already is not added again.
func (a *fetchArgs) add(it fetchItem) {
	at := 0
	for i := range a.items {
		if a.items[i].kind == it.kind && (it.kind < fetchBinary || bytes.Equal(a.items[i].name, it.name) && a.items[i].length == it.length) {
			a.items[i].lazy = a.items[i].lazy && it.lazy
			return
		}
		if a.items[i].first() {
			at = i + 1
		}
	}
	if !it.first() {
		at = len(a.items)
	}
	a.items = append(a.items, fetchItem{})
	copy(a.items[at+1:], a.items[at:])
	a.items[at] = it
}

func (a *fetchArgs) addWord(word string) {
	it := fetchWords[word]
	it.name = append([]byte(word), ' ')
	a.add(it)
}

// has reports whether there is an item of a kind.
func (a *fetchArgs) has(kind fetchKind) bool {
	for i := range a.items {
		if a.items[i].kind == kind {
			return true
		}
	}
	return false
}

// parseFetch reads SP items [SP modifiers] (RFC 3501 §9: fetch; RFC 4466 §2.4: fetch-modifiers).
// uid: the command is UID FETCH. tellUID: its answers then have the UID, asked for or not.
func parseFetch(d *imapwire.Decoder, uid, tellUID bool) (*fetchArgs, error) {
	a := &fetchArgs{}
	if uid && tellUID {
		a.addWord("UID") // RFC 3501 §6.4.8: implied
	}
	d.SP()
	if d.Peek() == '(' {
		if d.List(func() { a.item(d, d.Name(), true) }) == 0 {
			d.Fail("FETCH list is empty")
		}
	} else {
		name := d.Name()
		if macro, ok := fetchMacros[name]; ok {
			for _, word := range macro {
				a.addWord(word)
			}
		} else {
			a.item(d, name, false)
		}
	}
	if d.TrySP() {
		d.List(func() { a.modifier(d, d.Name()) })
	}
	if a.vanished && (!uid || !a.conditional) { // RFC 7162 §3.2.6
		d.Fail("VANISHED needs UID FETCH and CHANGEDSINCE")
	}
	d.End()
	return a, d.Err()
}

// item reads the rest of an item, after its name.
func (a *fetchArgs) item(d *imapwire.Decoder, name string, inList bool) {
	if name == "PREVIEW" {
		a.add(previewItem(d, inList))
		return
	}
	if it, ok := binaryItem(d, name); ok {
		a.add(it)
		a.seen = a.seen || name == "BINARY"
		return
	}
	if (name == "BODY" || name == "BODY.PEEK") && d.Peek() == '[' {
		if it, ok := parseSection(d); ok {
			a.add(it)
			a.seen = a.seen || name == "BODY"
		}
		return
	}
	a.seen = a.seen || name == "RFC822" || name == "RFC822.TEXT"
	if _, ok := fetchWords[name]; !ok {
		d.Failf("unknown FETCH item %.40q", name)
		return
	}
	a.addWord(name)
}

// modifier reads the rest of a modifier, after its name.
func (a *fetchArgs) modifier(d *imapwire.Decoder, name string) {
	switch name {
	case "CHANGEDSINCE": // RFC 7162 §3.1.4.1
		d.SP()
		a.changedSince, a.conditional = d.Number64(), true
		a.addWord("MODSEQ")
	case "PARTIAL": // RFC 9394 §3.3
		if a.page.wanted() {
			d.Fail("PARTIAL is there twice")
		}
		a.page = parsePartialRange(d)
	case "VANISHED": // RFC 7162 §3.2.6
		a.vanished = true
	default:
		d.Failf("unknown FETCH modifier %.40q", name)
	}
}

// check refuses what the command's grammar allows, and its meaning does not.
func (a *fetchArgs) check(r *request) error {
	switch {
	case a.vanished && !r.enabled(enabledQresync): // RFC 7162 §3.2.6
		return bad("QRESYNC is not enabled.")
	case a.has(fetchModSeq):
		if err := r.needModSeqs(); err != nil {
			return err
		}
	}
	return r.srv.offers.refuseItems(a)
}

// parseSection reads "[" section "]" ["<" offset "." length ">"], after BODY or BODY.PEEK.
func parseSection(d *imapwire.Decoder) (it fetchItem, ok bool) {
	it.kind = fetchSection
	name := []byte("BODY[")
	d.Byte('[')
	dot := true // something may follow
	for dot && d.Peek() >= '0' && d.Peek() <= '9' {
		n := d.NZNumber()
		it.section.Path = append(it.section.Path, n)
		name = imapwire.AppendNumber(name, uint64(n))
		if dot = d.TryByte('.'); dot {
			name = append(name, '.')
		}
	}
	if d.Peek() != ']' || len(it.section.Path) > 0 && dot {
		if !dot {
			d.Fail("expected . or ]")
			return it, false
		}
		name = parseSectionText(d, &it.section, name)
	}
	d.Byte(']')
	name = append(name, ']')
	if d.TryByte('<') {
		it.partial = true
		it.offset, it.length = d.Number64(), math.MaxUint64
		if d.TryByte('.') {
			it.length = d.Number64()
		}
		d.Byte('>')
		name = append(name, '<')
		name = imapwire.AppendNumber(name, it.offset)
		name = append(name, '>')
	}
	it.name = append(name, ' ')
	return it, d.OK()
}

// parseSectionText reads HEADER, HEADER.FIELDS (…), TEXT or MIME, and appends it to the name of the item.
func parseSectionText(d *imapwire.Decoder, s *message.Section, name []byte) []byte {
	word := d.Name()
	name = append(name, word...)
	switch word {
	case "HEADER":
		s.Kind = message.SectionHeader
	case "TEXT":
		s.Kind = message.SectionText
	case "MIME":
		s.Kind = message.SectionMIME
		if len(s.Path) == 0 {
			d.Fail("MIME needs a part number")
		}
	case "HEADER.FIELDS", "HEADER.FIELDS.NOT":
		s.Kind = message.SectionFields
		if word == "HEADER.FIELDS.NOT" {
			s.Kind = message.SectionFieldsNot
		}
		d.SP()
		name = append(name, " ("...)
		name = parseFieldNames(d, s, name)
		name = append(name, ')')
	default:
		d.Fail("invalid BODY[..] section")
	}
	return name
}

// parseFieldNames reads a list of field names. Like Dovecot, the response has them in upper case, quoted if they were.
func parseFieldNames(d *imapwire.Decoder, s *message.Section, name []byte) []byte {
	n := d.List(func() {
		quoted := d.Peek() == '"' || d.Peek() == '{'
		field := upper(d.AString())
		if len(s.Fields) > 0 {
			name = append(name, ' ')
		}
		s.Fields = append(s.Fields, field)
		if quoted {
			name = imapwire.AppendString(name, field)
		} else {
			name = append(name, field...)
		}
	})
	if n == 0 {
		d.Fail("list of header fields is empty")
	}
	return name
}

// upper returns ASCII text in upper case.
func upper(b []byte) string {
	up := make([]byte, len(b))
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		up[i] = c
	}
	return string(up)
}

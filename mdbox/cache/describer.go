package cache

import (
	"bytes"
	"encoding/binary"
	"strings"
	"sync"
)

// DescribeOptions say which values of a message to compute.
type DescribeOptions struct {
	// Fields are the names of the wanted fields: SaveFields, FetchFields.
	Fields []string
	Policy *Policy
	Parser Parser // nil: what needs one is left out
	// AsStored says that what is written has the line ends of the stored message. Otherwise it has those that clients see, and is
	// described as package dbox stores it: with LF line ends.
	AsStored bool
	// HasVSize says that the index has the extension vsize or hdr-vsize; then that is where the virtual size is stored.
	HasVSize bool
	Received int64 // UNIX time; 0 = not known. What is no date up to MaxDate is not cached
	Saved    int64 // UNIX time; 0 = not known
	// MaxHeader and MaxMessage bound the memory for a header block and for a message that a Parser is to see, in
	// bytes; larger ones have the fields left out that need them. Defaults 256 KiB and 32 MiB.
	MaxHeader, MaxMessage int
}

// Describer computes the values of a message that is written through it, with CRLF or LF line ends. It never
// fails; what can not be computed is left out. It is for one goroutine.
type Describer struct {
	o       DescribeOptions
	want    [knownFields]bool
	headers []wantedHeader
	parse   Want // of the message
	buffer  bool // the message is wanted, not only its header
	message
}

// wantedHeader is a header field to describe.
type wantedHeader struct {
	name  string // of its values, as the cache spells it
	field string // of the message
}

// message is what a Describer knows of one message.
type message struct {
	ends toLF

	data       []byte // of the message as it is stored, as far as it is held
	headerSize int
	headerDone bool // its end was seen
	tooLarge   bool // data is only the header, or nothing
	noHeader   bool // the header is too large, too; where it ends is not known

	physical, bareLF, headerBareLF uint64
	hasNUL                         bool
	last                           byte
	scratch                        []byte
	found                          []foundHeader

	values []FieldValue // once they were asked for
	parsed MessageValues
	done   bool
}

// NewDescriber returns a Describer for one message.
func NewDescriber(o DescribeOptions) *Describer {
	o.MaxHeader = orDefault(o.MaxHeader, 256<<10)
	o.MaxMessage = max(orDefault(o.MaxMessage, 32<<20), o.MaxHeader)
	d := &Describer{o: o}
	for _, name := range o.Fields {
		if !o.Policy.Allows(name) {
			continue
		}
		if field, isHeader := headerName(name); isHeader {
			d.headers = append(d.headers, wantedHeader{name, field})
		}
		for f := range knownTable {
			d.want[f] = d.want[f] || strings.EqualFold(name, knownTable[f].name)
		}
	}
	for _, f := range [...]struct {
		field known
		want  Want
	}{{fieldBody, WantBody}, {fieldBodyStructure, WantBodyStructure}, {fieldSnippet, WantSnippet}, {fieldFlags, 0}, {fieldParts, 0}} {
		if d.wants(f.field) && o.Parser != nil {
			d.buffer = true
			d.parse |= f.want
		}
	}
	return d
}

// Next makes d describe another message of about size bytes (0: not known), of which the same is wanted. The values of the one before
// stay what they are.
func (d *Describer) Next(received, saved int64, size uint64) {
	d.o.Received, d.o.Saved = received, saved
	d.message = message{data: d.data[:0], scratch: d.scratch, found: d.found}
	if cap(d.data) > keptBuffer { // not for the small ones that follow
		d.data = nil
	}
	switch {
	case !d.buffer || size > uint64(d.o.MaxMessage) || size <= uint64(cap(d.data)):
	case size <= keptBuffer:
		d.data = (*buffers.Get().(*[keptBuffer]byte))[:0]
	default:
		d.data = make([]byte, 0, size)
	}
}

// keptBuffer is the capacity of the buffers for messages that are kept for other messages.
const keptBuffer = 256 << 10

var buffers = sync.Pool{New: func() any { return new([keptBuffer]byte) }}

// Release gives the memory of d to other Describers. The values of messages stay what they are; d is not used any more.
func (d *Describer) Release() {
	if cap(d.data) == keptBuffer {
		buffers.Put((*[keptBuffer]byte)(d.data[:keptBuffer]))
	}
	d.message = message{}
}

// Describes reports whether any value is wanted.
func (d *Describer) Describes() bool { return len(d.headers) > 0 || d.want != [knownFields]bool{} }

func (d *Describer) wants(f known) bool { return d.want[f] }

// Write takes the next piece of the message. The error is always nil.
func (d *Describer) Write(p []byte) (int, error) {
	if d.o.AsStored {
		d.add(p)
		return len(p), nil
	}
	for rest := p; len(rest) > 0; {
		piece := rest[:min(len(rest), 32<<10)]
		rest = rest[len(piece):]
		if d.headerDone && d.buffer && !d.tooLarge {
			known := len(d.data)
			d.data = d.ends.append(d.data, piece)
			d.count(d.data[known:])
			d.bound()
			continue
		}
		d.scratch = d.ends.append(d.scratch[:0], piece)
		d.add(d.scratch)
	}
	return len(p), nil
}

// add takes a piece of the stored message.
func (d *Describer) add(b []byte) {
	if len(b) == 0 {
		return
	}
	if !d.headerDone {
		b = d.addHeader(b)
	}
	d.count(b)
	if d.tooLarge || !d.buffer {
		return
	}
	d.data = append(d.data, b...)
	d.bound()
}

// bound gives up what is held of a message that turns out to be too large.
func (d *Describer) bound() {
	if len(d.data) > d.o.MaxMessage {
		d.tooLarge = true
		d.data = bytes.Clone(d.data[:d.headerSize])
	}
}

// addHeader takes what of b belongs to the header, and returns the rest.
func (d *Describer) addHeader(b []byte) (body []byte) {
	known := len(d.data)
	d.data = append(d.data, b...)
	from := bytes.LastIndexByte(d.data[:known], '\n') + 1
	n, found := headerEnd(d.data, from)
	d.count(b[:n-known])
	if n > d.o.MaxHeader {
		d.noHeader, d.tooLarge, d.headerDone = true, true, true
		d.headerSize, d.data = 0, nil
		return b[n-known:]
	}
	d.headerSize, d.data = n, d.data[:n]
	if found {
		d.endHeader()
	}
	return b[n-known:]
}

func (d *Describer) endHeader() {
	d.headerDone = true
	d.headerBareLF = d.bareLF
}

// count updates what is known of the message by a piece of it.
func (d *Describer) count(b []byte) {
	if len(b) == 0 {
		return
	}
	d.physical += uint64(len(b))
	lf, crlf := bytes.Count(b, []byte{'\n'}), 0
	if bytes.IndexByte(b, '\r') >= 0 { // hardly ever in what is stored
		crlf = bytes.Count(b, []byte("\r\n"))
	}
	if b[0] == '\n' && d.last == '\r' {
		crlf++
	}
	d.bareLF += uint64(lf - crlf)
	d.hasNUL = d.hasNUL || bytes.IndexByte(b, 0) >= 0
	d.last = b[len(b)-1]
}

// Values returns the values of the message that was written, all of it. They go to Writer.Append. The first call does the
// work; it is better not made while locks are held.
func (d *Describer) Values() []FieldValue {
	if !d.done {
		d.done = true
		d.add(d.ends.end(nil))
		if !d.headerDone {
			d.endHeader()
		}
		d.values = d.dates(d.sizes(d.messageValues(d.headerValues(make([]FieldValue, 0, len(d.o.Fields))))))
	}
	return d.values
}

// Parsed returns what the Parser has said of the message, after Values: of the fields that are wanted, also where it is not in
// the values, since others tell it.
func (d *Describer) Parsed() MessageValues { return d.parsed }

func (d *Describer) sizes(values []FieldValue) []FieldValue {
	if d.wants(fieldVirtualSize) && !d.o.HasVSize {
		values = append(values, d.fixed(fieldVirtualSize, d.VirtualSize()))
	}
	if d.wants(fieldPhysicalSize) {
		values = append(values, d.fixed(fieldPhysicalSize, d.physical))
	}
	return values
}

func (d *Describer) dates(values []FieldValue) []FieldValue {
	if d.wants(fieldReceivedDate) && d.o.Received > 0 && d.o.Received <= MaxDate {
		values = append(values, d.fixed(fieldReceivedDate, uint64(d.o.Received)))
	}
	if d.wants(fieldSaveDate) && d.o.Saved != 0 {
		values = append(values, d.fixed(fieldSaveDate, uint64(d.o.Saved)))
	}
	return values
}

// PhysicalSize is the size as it is stored, in bytes, of what was written so far.
func (d *Describer) PhysicalSize() uint64 { return d.physical }

// VirtualSize is the size with CRLF line ends, in bytes, of what was written so far.
func (d *Describer) VirtualSize() uint64 { return d.physical + d.bareLF }

// fixed returns the value of a field that is a number of 4 or 8 bytes.
func (d *Describer) fixed(f known, n uint64) FieldValue {
	b := binary.LittleEndian.AppendUint64(nil, n)
	return FieldValue{knownTable[f].name, b[:knownTable[f].size]}
}

// headerValues appends the values that the header tells.
func (d *Describer) headerValues(values []FieldValue) []FieldValue {
	if d.noHeader {
		return values
	}
	header := d.data[:d.headerSize]
	values = d.appendHeaderFields(values, header)
	var want Want
	if d.wants(fieldSentDate) {
		want |= WantSent
	}
	if d.wants(fieldEnvelope) {
		want |= WantEnvelope
	}
	if d.o.Parser == nil || want == 0 {
		return values
	}
	h := d.o.Parser.ParseHeader(header, want)
	if want&WantSent != 0 {
		b := binary.LittleEndian.AppendUint32(nil, uint32(h.Sent))
		values = append(values, FieldValue{knownTable[fieldSentDate].name, binary.LittleEndian.AppendUint32(b, uint32(int32(h.SentZone)))})
	}
	if want&WantEnvelope != 0 && h.Envelope != nil {
		values = append(values, FieldValue{knownTable[fieldEnvelope].name, h.Envelope})
	}
	return values
}

// messageValues appends flags and the values that the MIME parts tell.
//
// A plain message has its structure in flags and mime.parts. Of others, one of BODYSTRUCTURE and BODY is enough,
// unless the configuration asks for BODY (dovecot src/lib-storage/index/index-mail.c, index_mail_body_parsed_cache_bodystructure).
func (d *Describer) messageValues(values []FieldValue) []FieldValue {
	if d.buffer && !d.tooLarge {
		d.parsed = d.o.Parser.ParseMessage(d.data, d.parse)
	}
	m := &d.parsed
	parts, allows := knownTable[fieldParts].name, d.o.Policy.Allows
	plain := m.Plain && m.Parts != nil && (d.wants(fieldFlags) || d.wants(fieldBody) || d.wants(fieldBodyStructure))
	if (d.wants(fieldFlags) || plain) && !d.noHeader {
		values = append(values, d.fixed(fieldFlags, uint64(d.flags(plain))))
	}
	if m.Parts != nil && (d.wants(fieldParts) || plain && allows(parts)) {
		values = append(values, FieldValue{parts, AppendPartsValue(nil, m.Parts)})
	}
	plain = plain && allows(parts) && allows(knownTable[fieldFlags].name)
	structure := d.wants(fieldBodyStructure) && !plain && m.BodyStructure != nil
	if structure {
		values = append(values, FieldValue{knownTable[fieldBodyStructure].name, m.BodyStructure})
	}
	forced, _ := d.o.Policy.forced(knownTable[fieldBody].name)
	if d.wants(fieldBody) && !plain && m.Body != nil && (!structure || forced == DecisionYes|DecisionForced) {
		values = append(values, FieldValue{knownTable[fieldBody].name, m.Body})
	}
	if d.wants(fieldSnippet) && m.Snippet != nil {
		values = append(values, FieldValue{knownTable[fieldSnippet].name, append([]byte{snippetVersion}, m.Snippet...)})
	}
	return values
}

func (d *Describer) flags(plain bool) uint32 {
	flags := HasNoNUL
	if d.hasNUL {
		flags = HasNUL
	}
	if plain {
		flags |= PlainBody
	}
	if d.headerBareLF == 0 {
		flags |= HeaderHasCRLF
	}
	if d.bareLF == d.headerBareLF {
		flags |= BodyHasCRLF
	}
	return flags
}

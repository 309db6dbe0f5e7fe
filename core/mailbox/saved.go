package mailbox

import (
	"encoding/binary"
	"errors"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/slab"
)

// What does not fit an entry, or most mailboxes do not have, is in its extra, a blob. Numbers are uvarints but for
// owners, which are 8 bytes, little-endian.
//
//	1 byte      version 2
//	n, bytes    position; n = 0 if it is in the entry
//	n           claims: first, next - first, owner
//	n           keywords: length and bytes of the names, if there are steps
//	n           steps of the journal, oldest first, the last one leading to the saved version:
//	              sessions at the version before; its UIDNEXT, first \Recent UID, HIGHESTMODSEQ, number of keywords
//	              n  expunged: UID - the one before, system flags, n words of keywords, words, modseq
//	              n  flagged: UID - the one before
//	              n  touched: UID - the one before
//	              1  1 = any may have been flagged or touched, else 0
const extraVersion = 2

var errExtra = errors.New("mailbox: damaged record")

// extra is the decoded blob.
type extra struct {
	position []byte
	claims   []claim
	keywords []string
	steps    []savedStep
}

// savedStep is a delta, and how many sessions stand before it.
type savedStep struct {
	pins             uint32
	limits           limits
	expunged         []savedMessage
	flagged, touched []uint32
	all              bool
}

// savedMessage is an expunged message.
type savedMessage struct {
	uid      uint32
	system   uint8
	keywords []uint64
	modseq   uint64
}

// empty reports whether there is nothing to keep.
func (x *extra) empty() bool { return len(x.position) == 0 && len(x.claims) == 0 && len(x.steps) == 0 }

func (x *extra) append(b []byte) []byte {
	num := func(n uint64) { b = binary.AppendUvarint(b, n) }
	text := func(s []byte) { num(uint64(len(s))); b = append(b, s...) }
	b = append(b, extraVersion)
	text(x.position)
	num(uint64(len(x.claims)))
	for _, c := range x.claims {
		num(uint64(c.first))
		num(uint64(c.next - c.first))
		b = binary.LittleEndian.AppendUint64(b, c.owner)
	}
	num(uint64(len(x.keywords)))
	for _, k := range x.keywords {
		text([]byte(k))
	}
	num(uint64(len(x.steps)))
	for i := range x.steps {
		b = x.steps[i].append(b)
	}
	return b
}

func (s *savedStep) append(b []byte) []byte {
	for _, n := range []uint64{uint64(s.pins), uint64(s.limits.uidNext), uint64(s.limits.firstRecent), s.limits.highestModSeq, uint64(s.limits.keywords), uint64(len(s.expunged))} {
		b = binary.AppendUvarint(b, n)
	}
	before := uint32(0)
	for _, m := range s.expunged {
		b = binary.AppendUvarint(b, uint64(m.uid-before))
		b = append(b, m.system)
		b = binary.AppendUvarint(b, uint64(len(m.keywords)))
		for _, w := range m.keywords {
			b = binary.AppendUvarint(b, w)
		}
		b = binary.AppendUvarint(b, m.modseq)
		before = m.uid
	}
	b = appendUIDs(appendUIDs(b, s.flagged), s.touched)
	if s.all {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendUIDs(b []byte, uids []uint32) []byte {
	b = binary.AppendUvarint(b, uint64(len(uids)))
	before := uint32(0)
	for _, uid := range uids {
		b = binary.AppendUvarint(b, uint64(uid-before))
		before = uid
	}
	return b
}

// decodeExtra is the inverse of append.
func decodeExtra(b []byte) (extra, error) {
	var x extra
	d := savedDecoder{b: b}
	if d.byte() != extraVersion {
		return extra{}, errExtra
	}
	x.position = append([]byte(nil), d.text()...)
	for range d.count(10) {
		first := d.uid(0)
		next := d.uid(uint32(first))
		x.claims = append(x.claims, claim{first: imap.UID(first), next: imap.UID(next), owner: d.owner()})
	}
	for range d.count(1) {
		x.keywords = append(x.keywords, string(d.text()))
	}
	for range d.count(8) {
		x.steps = append(x.steps, d.step())
	}
	if d.bad || len(d.b) != 0 {
		return extra{}, errExtra
	}
	return x, nil
}

// savedDecoder reads an extra. After an error everything is zero.
type savedDecoder struct {
	b   []byte
	bad bool
}

func (d *savedDecoder) fail() {
	d.b, d.bad = nil, true
}

func (d *savedDecoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

// num returns a number up to max.
func (d *savedDecoder) num(max uint64) uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > max {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count returns how many elements of at least size bytes follow.
func (d *savedDecoder) count(size int) int {
	n := int(d.num(slab.MaxBlob))
	if n > len(d.b)/size {
		d.fail()
		return 0
	}
	return n
}

func (d *savedDecoder) text() []byte {
	n := d.count(1)
	t := d.b[:n]
	d.b = d.b[n:]
	return t
}

// uid returns before plus a number.
func (d *savedDecoder) uid(before uint32) uint32 {
	return before + uint32(d.num(uint64(^uint32(0)-before)))
}

func (d *savedDecoder) owner() uint64 {
	if len(d.b) < 8 {
		d.fail()
		return 0
	}
	o := binary.LittleEndian.Uint64(d.b)
	d.b = d.b[8:]
	return o
}

func (d *savedDecoder) uids() []uint32 {
	var uids []uint32
	before := uint32(0)
	for range d.count(1) {
		before = d.uid(before)
		uids = append(uids, before)
	}
	return uids
}

func (d *savedDecoder) step() savedStep {
	const max32 = 1<<32 - 1
	s := savedStep{pins: uint32(d.num(max32))}
	s.limits = limits{uidNext: imap.UID(d.num(max32)), firstRecent: imap.UID(d.num(max32)), highestModSeq: d.num(1<<64 - 1), keywords: int(d.num(1 << 30))}
	before := uint32(0)
	for range d.count(4) {
		m := savedMessage{uid: d.uid(before), system: d.byte()}
		for range d.count(1) {
			m.keywords = append(m.keywords, d.num(1<<64-1))
		}
		m.modseq = d.num(1<<64 - 1)
		s.expunged = append(s.expunged, m)
		before = m.uid
	}
	s.flagged, s.touched = d.uids(), d.uids()
	switch d.byte() {
	case 0:
	case 1:
		s.all = true
	default:
		d.fail()
	}
	return s
}

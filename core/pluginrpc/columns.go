package pluginrpc

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// Columns on the wire: little-endian, without padding (roost.storage.v1.Columns).

func appendUint32s(dst []byte, v []uint32) []byte {
	for _, x := range v {
		dst = binary.LittleEndian.AppendUint32(dst, x)
	}
	return dst
}

func appendUint64s(dst []byte, v []uint64) []byte {
	for _, x := range v {
		dst = binary.LittleEndian.AppendUint64(dst, x)
	}
	return dst
}

// decodeUint32s appends the elements of the column b, whose length is a multiple of 4.
func decodeUint32s(dst []uint32, b []byte) []uint32 {
	for ; len(b) >= 4; b = b[4:] {
		dst = append(dst, binary.LittleEndian.Uint32(b))
	}
	return dst
}

// decodeUint64s appends the elements of the column b, whose length is a multiple of 8.
func decodeUint64s(dst []uint64, b []byte) []uint64 {
	for ; len(b) >= 8; b = b[8:] {
		dst = append(dst, binary.LittleEndian.Uint64(b))
	}
	return dst
}

// columnsSplitter cuts columns into messages of about columnBytes. It reuses one message.
type columnsSplitter struct {
	cols    *backend.Columns
	compact bool // the receiver understands uid_runs and keyword_bytes
	next    int  // first message not yet returned
	rows    int  // per message
	most    int  // per message whose UIDs are few runs; 0: that does not matter
	msg     storagev1.Columns
}

// newColumnsSplitter checks the lengths of the columns, so that the splitter can not run out of one.
func newColumnsSplitter(c *backend.Columns, compact bool) (*columnsSplitter, error) {
	if err := c.CheckLengths(); err != nil {
		return nil, err
	}
	row := 4 + 1 + 8 + 8*c.KeywordWords
	if compact && c.KeywordWords <= 1 && c.ModSeqs == nil {
		row = 4 + 1 + 1
	}
	s := &columnsSplitter{cols: c, compact: compact, rows: max(1, columnBytes/row)}
	if compact && c.ModSeqs == nil { // as if UIDs took no room, if that turns out to be so
		s.most = max(s.rows, columnBytes/(1+c.KeywordWords*8))
	}
	return s, nil
}

// split returns the next message, nil at the end. It is valid until the next call.
func (s *columnsSplitter) split() *storagev1.Columns {
	c, from := s.cols, s.next
	if from == len(c.UIDs) {
		return nil
	}
	to := min(from+max(s.rows, s.most), len(c.UIDs))
	s.msg.Uids, s.msg.UidRuns = s.msg.Uids[:0], s.msg.UidRuns[:0]
	if s.compact {
		s.msg.UidRuns = appendRuns(s.msg.UidRuns, c.UIDs[from:to])
		if n := len(s.msg.UidRuns); to-from > s.rows && (n == 0 || n > fewRuns) {
			to, s.most = from+s.rows, 0
			s.msg.UidRuns = appendRuns(s.msg.UidRuns[:0], c.UIDs[from:to])
		}
	}
	s.next = to
	if len(s.msg.UidRuns) == 0 {
		s.msg.Uids = appendUint32s(s.msg.Uids, c.UIDs[from:to])
	}
	s.msg.Flags = c.Flags[from:to]
	s.keywords(from, to)
	if c.ModSeqs != nil {
		s.msg.ModSeqs = appendUint64s(s.msg.ModSeqs[:0], c.ModSeqs[from:to])
	}
	return &s.msg
}

// keywords sets the column of keywords.
func (s *columnsSplitter) keywords(from, to int) {
	c, kw := s.cols, s.cols.KeywordWords
	s.msg.KeywordWords, s.msg.KeywordBytes = uint32(kw), 0
	switch {
	case c.LowKeywords != nil && s.compact:
		s.msg.KeywordBytes, s.msg.Keywords = 1, c.LowKeywords[from:to]
	case c.LowKeywords != nil:
		s.msg.Keywords = s.msg.Keywords[:0]
		for _, b := range c.LowKeywords[from:to] {
			s.msg.Keywords = binary.LittleEndian.AppendUint64(s.msg.Keywords, uint64(b))
		}
	default:
		keywords := c.Keywords[from*kw : to*kw]
		if s.compact && kw == 1 {
			s.msg.KeywordBytes = wordBytes(keywords)
		}
		if s.msg.KeywordBytes > 0 {
			s.msg.Keywords = appendLowBytes(s.msg.Keywords[:0], keywords, int(s.msg.KeywordBytes))
		} else {
			s.msg.Keywords = appendUint64s(s.msg.Keywords[:0], keywords)
		}
	}
}

// fewRuns is how many bytes of runs a message may have that has more than the usual number of rows.
const fewRuns = columnBytes / 8

// Numbers of fields in roost.storage.v1.
const (
	fieldOpened       protowire.Number = 2 // OpenResponse.messages
	fieldColUIDs      protowire.Number = 1 // of Columns, from here on
	fieldColFlags     protowire.Number = 2
	fieldColKeywords  protowire.Number = 3
	fieldColWords     protowire.Number = 4
	fieldColModSeqs   protowire.Number = 5
	fieldColUIDRuns   protowire.Number = 6
	fieldColWordBytes protowire.Number = 7
)

// marshalOpened encodes an OpenResponse with messages only. What it returns refers to the column of flags, which must remain as it is.
func marshalOpened(c *storagev1.Columns) mem.BufferSlice {
	body := make([]byte, 0, 64+len(c.Uids)+len(c.UidRuns)+len(c.Keywords)+len(c.ModSeqs))
	for _, f := range []struct {
		num   protowire.Number
		bytes []byte
	}{{fieldColUIDs, c.Uids}, {fieldColUIDRuns, c.UidRuns}, {fieldColKeywords, c.Keywords}, {fieldColModSeqs, c.ModSeqs}} {
		if len(f.bytes) > 0 {
			body = protowire.AppendBytes(protowire.AppendTag(body, f.num, protowire.BytesType), f.bytes)
		}
	}
	for _, f := range []struct {
		num protowire.Number
		n   uint32
	}{{fieldColWords, c.KeywordWords}, {fieldColWordBytes, c.KeywordBytes}} {
		if f.n > 0 {
			body = protowire.AppendVarint(protowire.AppendTag(body, f.num, protowire.VarintType), uint64(f.n))
		}
	}
	if len(c.Flags) > 0 {
		body = protowire.AppendVarint(protowire.AppendTag(body, fieldColFlags, protowire.BytesType), uint64(len(c.Flags)))
	}
	head := protowire.AppendTag(make([]byte, 0, 16), fieldOpened, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(len(body)+len(c.Flags)))
	return mem.BufferSlice{mem.SliceBuffer(head), mem.SliceBuffer(body), mem.SliceBuffer(c.Flags)}
}

// unmarshalOpened decodes an OpenResponse that has messages and nothing else; nil: it is another one, or broken. What it returns refers to b.
func unmarshalOpened(b []byte) *storagev1.Columns {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 || num != fieldOpened || typ != protowire.BytesType {
		return nil
	}
	body, m := protowire.ConsumeBytes(b[n:])
	if m < 0 || n+m != len(b) {
		return nil
	}
	c := new(storagev1.Columns)
	bytes := [...]*[]byte{fieldColUIDs: &c.Uids, fieldColFlags: &c.Flags, fieldColKeywords: &c.Keywords, fieldColModSeqs: &c.ModSeqs, fieldColUIDRuns: &c.UidRuns}
	numbers := [...]*uint32{fieldColWords: &c.KeywordWords, fieldColWordBytes: &c.KeywordBytes}
	for len(body) > 0 {
		num, typ, n := protowire.ConsumeTag(body)
		if n < 0 {
			return nil
		}
		body = body[n:]
		switch {
		case typ == protowire.BytesType && int(num) < len(bytes) && bytes[num] != nil:
			*bytes[num], n = protowire.ConsumeBytes(body)
		case typ == protowire.VarintType && int(num) < len(numbers) && numbers[num] != nil:
			var v uint64
			v, n = protowire.ConsumeVarint(body)
			*numbers[num] = uint32(v)
		default:
			return nil
		}
		if n < 0 {
			return nil
		}
		body = body[n:]
	}
	return c
}

// columnsJoiner puts the messages of one group of columns together and checks
// them: a plugin may have sent anything.
type columnsJoiner struct {
	want          int    // announced number of messages
	uidNext       uint32 // all UIDs are below it
	highestModSeq uint64
	keywords      int // number of keyword names
	out           backend.Columns

	started    bool
	hasModSeqs bool
	usedBits   []uint64 // OR of all keyword words, KeywordWords elements
}

// maxPrealloc bounds the room that is made before data has come, in messages:
// the announced number may be a lie.
const maxPrealloc = 1 << 20

// add appends one message. The error is the broken rule.
func (j *columnsJoiner) add(p *storagev1.Columns) error {
	n, words := len(p.Uids)/4, int(p.KeywordWords)
	perKeywords := 8 * words // bytes
	if p.KeywordBytes != 0 {
		if p.KeywordBytes > 7 || words != 1 {
			return fmt.Errorf("keyword_bytes %d with keyword_words %d", p.KeywordBytes, p.KeywordWords)
		}
		perKeywords = int(p.KeywordBytes)
	}
	if len(p.UidRuns) > 0 {
		if n > 0 {
			return fmt.Errorf("uids and uid_runs in one response")
		}
		var err error
		if n, err = countRuns(p.UidRuns, j.want-len(j.out.UIDs)); err != nil {
			return err
		}
	}
	switch {
	case len(p.Uids)%4 != 0:
		return fmt.Errorf("column uids has %d bytes, not a multiple of 4", len(p.Uids))
	case n == 0:
		return fmt.Errorf("columns without messages")
	case n > j.want-len(j.out.UIDs):
		return fmt.Errorf("more messages than the %d announced", j.want)
	case len(p.Flags) != n:
		return fmt.Errorf("column flags has %d bytes for %d messages", len(p.Flags), n)
	case p.KeywordWords > maxPrealloc || len(p.Keywords) != n*perKeywords:
		return fmt.Errorf("column keywords has %d bytes for %d messages with %d words", len(p.Keywords), n, p.KeywordWords)
	case len(p.ModSeqs) != 0 && len(p.ModSeqs) != 8*n:
		return fmt.Errorf("column mod_seqs has %d bytes for %d messages", len(p.ModSeqs), n)
	}
	if !j.started {
		j.start(words, p.KeywordBytes == 1, len(p.ModSeqs) != 0)
	}
	if words != j.out.KeywordWords || (len(p.ModSeqs) != 0) != j.hasModSeqs {
		return fmt.Errorf("keyword_words or the presence of mod_seqs changes between responses")
	}
	from := len(j.out.UIDs)
	j.out.UIDs = decodeRuns(decodeUint32s(j.out.UIDs, p.Uids), p.UidRuns)
	j.out.Flags = append(j.out.Flags, p.Flags...)
	j.addKeywords(p)
	j.out.ModSeqs = decodeUint64s(j.out.ModSeqs, p.ModSeqs)
	return j.check(from)
}

// addKeywords appends the column of keywords: as bytes, as long as all of them were.
func (j *columnsJoiner) addKeywords(p *storagev1.Columns) {
	if j.out.LowKeywords != nil {
		if p.KeywordBytes == 1 {
			j.out.LowKeywords = append(j.out.LowKeywords, p.Keywords...)
			return
		}
		j.out.Keywords = decodeLowBytes(make([]uint64, 0, min(j.want, maxPrealloc)), j.out.LowKeywords, 1)
		j.out.LowKeywords = nil
	}
	if p.KeywordBytes > 0 {
		j.out.Keywords = decodeLowBytes(j.out.Keywords, p.Keywords, int(p.KeywordBytes))
	} else {
		j.out.Keywords = decodeUint64s(j.out.Keywords, p.Keywords)
	}
}

func (j *columnsJoiner) start(words int, low, modSeqs bool) {
	j.started, j.hasModSeqs = true, modSeqs
	room := min(j.want, maxPrealloc)
	j.out.UIDs = make([]uint32, 0, room)
	j.out.Flags = make([]uint8, 0, room)
	j.out.KeywordWords = words
	j.usedBits = make([]uint64, words)
	switch {
	case low:
		j.out.LowKeywords = make([]uint8, 0, room)
	case words > 0 && words <= 16:
		j.out.Keywords = make([]uint64, 0, room*words)
	}
	if modSeqs {
		j.out.ModSeqs = make([]uint64, 0, room)
	}
}

// knownFlags are all system flags.
const knownFlags = backend.FlagAnswered | backend.FlagFlagged | backend.FlagDeleted | backend.FlagSeen | backend.FlagDraft

// check holds the rows from the given one on against the rules for values.
func (j *columnsJoiner) check(from int) error {
	if err := checkAscending(j.out.UIDs, from, j.uidNext); err != nil {
		return err
	}
	var flags uint8
	for _, f := range j.out.Flags[from:] {
		flags |= f
	}
	if flags&^knownFlags != 0 {
		return fmt.Errorf("unknown system flag bits 0x%02x", flags&^knownFlags)
	}
	for i, m := range j.out.ModSeqs[min(from, len(j.out.ModSeqs)):] {
		if m == 0 || m > j.highestModSeq {
			return fmt.Errorf("modseq %d of UID %d is not between 1 and highest_mod_seq %d", m, j.out.UIDs[from+i], j.highestModSeq)
		}
	}
	return j.checkKeywords(from)
}

// checkKeywords refuses bits of keywords that have no name.
func (j *columnsJoiner) checkKeywords(from int) error {
	words := j.out.KeywordWords
	if words == 0 {
		return nil
	}
	if j.out.LowKeywords != nil {
		var all uint8
		for _, bits := range j.out.LowKeywords[from:] {
			all |= bits
		}
		j.usedBits[0] |= uint64(all)
	} else {
		rows := j.out.Keywords[from*words:]
		for ; len(rows) >= words; rows = rows[words:] {
			for w, bits := range rows[:words] {
				j.usedBits[w] |= bits
			}
		}
	}
	for w, bits := range j.usedBits {
		named := j.keywords - 64*w
		if named < 64 && bits>>max(named, 0) != 0 {
			return fmt.Errorf("keyword bits without a name (there are %d names)", j.keywords)
		}
	}
	return nil
}

// done returns the columns after the last message.
func (j *columnsJoiner) done() (backend.Columns, error) {
	if len(j.out.UIDs) != j.want {
		return backend.Columns{}, fmt.Errorf("%d messages were announced, %d came", j.want, len(j.out.UIDs))
	}
	return j.out, nil
}

// checkAscending checks that uids[from:] goes on ascending and is below uidNext.
func checkAscending(uids []uint32, from int, uidNext uint32) error {
	last := uint32(0)
	if from > 0 {
		last = uids[from-1]
	}
	for _, u := range uids[from:] {
		if u <= last {
			return fmt.Errorf("UID %d after UID %d", u, last)
		}
		last = u
	}
	if last >= uidNext {
		return fmt.Errorf("UID %d is not below uid_next %d", last, uidNext)
	}
	return nil
}

package index

import "encoding/binary"

// AppendKeywordColumn appends the keywords of all messages, KeywordWords 64-bit
// words each; see AppendKeywords.
func (s *State) AppendKeywordColumn(dst []uint64) []uint64 {
	words := s.KeywordWords()
	e := s.keywordExt
	if words != 1 || e == nil || e.RecordSize == 0 || e.RecordSize > 8 {
		for i := range s.uids {
			dst = s.AppendKeywords(dst, i, words)
		}
		return dst
	}
	n, mask := int(e.RecordSize), s.keywordMask()
	for rec := e.Column(); len(rec) >= n; rec = rec[n:] {
		var v uint64
		for j, b := range rec[:n] {
			v |= uint64(b) << (8 * j)
		}
		dst = append(dst, v&mask)
	}
	return dst
}

// FewKeywords reports whether there are keywords, and a byte has room for a set of all.
func (s *State) FewKeywords() bool { return len(s.keywords.names) > 0 && len(s.keywords.names) <= 8 }

// AppendLowKeywordColumn appends the keywords of all messages, a byte each: the low one of their word. FewKeywords must hold.
func (s *State) AppendLowKeywordColumn(dst []uint8) []uint8 {
	e, start := s.keywordExt, len(dst)
	if e == nil || e.RecordSize == 0 {
		return append(dst, make([]uint8, len(s.uids))...)
	}
	if e.RecordSize == 1 {
		dst = append(dst, e.Column()...)
	} else {
		for i := range s.uids {
			dst = append(dst, e.Record(i)[0])
		}
	}
	if mask := byte(s.keywordMask()); mask != 0xff {
		maskBytes(dst[start:], mask)
	}
	return dst
}

// maskBytes takes the bits that are not in mask out of b. Usually there are none.
func maskBytes(b []byte, mask byte) {
	wide := uint64(mask) * (^uint64(0) / 0xff)
	for ; len(b) >= 8; b = b[8:] {
		if w := binary.LittleEndian.Uint64(b); w&^wide != 0 {
			binary.LittleEndian.PutUint64(b, w&wide)
		}
	}
	for i := range b {
		b[i] &= mask
	}
}

// keywordMask has the bits of the last word of a set of keywords that stand for
// keywords with a name. Others can only be set by damage.
func (s *State) keywordMask() uint64 {
	return ^uint64(0) >> ((64 - len(s.keywords.names)%64) % 64)
}

// AppendModSeqColumn appends the modseqs of all messages; see ModSeq.
func (s *State) AppendModSeqColumn(dst []uint64) []uint64 {
	if s.modSeqExt == nil {
		for i := range s.uids {
			dst = append(dst, s.ModSeq(i))
		}
		return dst
	}
	highest := s.HighestModSeq()
	for rec := s.modSeqExt.Column(); len(rec) >= modSeqRecordSize; rec = rec[modSeqRecordSize:] {
		v := binary.LittleEndian.Uint64(rec)
		if v == 0 {
			v = highest
		}
		dst = append(dst, v)
	}
	return dst
}

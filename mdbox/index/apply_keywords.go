package index

import (
	"strings"

	"github.com/roostmail/roost/mdbox/translog"
)

// keywordUpdate adds or removes a keyword. A name that is new, also if it is
// to be removed, becomes a keyword of the index and gets the next number.
func (a *applier) keywordUpdate(u translog.KeywordUpdate) {
	s := a.s
	name, _, _ := strings.Cut(u.Name, "\x00") // to Dovecot, names end with NUL
	if name == "" {
		a.problem("keyword-update: a keyword without name")
		return
	}
	k, added := s.keywords.number(name)
	if added && !a.growKeywords() {
		return
	}
	e := s.keywordExt
	if e == nil || k/8 >= int(e.RecordSize) {
		if u.Remove || !a.growKeywordRecords() {
			return
		}
		e = s.keywordExt
	}
	mask := byte(1) << (k % 8)
	for _, r := range u.UIDs {
		from, to := s.FindRange(r.First, r.Last)
		a.touchModSeq(from, to)
		for i := from; i < to; i++ {
			if b := &e.Record(i)[k/8]; u.Remove {
				*b &^= mask
			} else {
				*b |= mask
			}
		}
	}
}

// growKeywords makes the extension fit for the keyword that was just added.
func (a *applier) growKeywords() bool {
	s := a.s
	size := uint32(keywordsSize(len(s.keywords.names), s.keywords.nameBytes))
	if e := s.keywordExt; e != nil && size <= e.hdrSize && int(e.RecordSize)*8 >= len(s.keywords.names) {
		return true
	}
	return a.setKeywordSizes(size + keywordsSpare)
}

// growKeywordRecords repairs records that are too small for a known keyword.
func (a *applier) growKeywordRecords() bool {
	s := a.s
	if s.keywordExt == nil {
		return a.setKeywordSizes(uint32(keywordsSize(len(s.keywords.names), s.keywords.nameBytes)))
	}
	return a.setKeywordSizes(s.keywordExt.hdrSize)
}

func (a *applier) setKeywordSizes(hdrSize uint32) bool {
	s := a.s
	h := ExtHeader{
		HdrSize:     hdrSize,
		RecordSize:  uint16(min(keywordRecordSize(len(s.keywords.names)), 1<<16-1)),
		RecordAlign: 1,
		Name:        extKeywords,
	}
	if err := h.check(); err != nil {
		a.problem("keyword-update: %s", rule(err))
		return false
	}
	if s.keywordExt != nil {
		return a.resizeExt(s.keywordExt, &h, false)
	}
	return a.newExt(&h) != nil
}

func (a *applier) keywordReset(rs translog.KeywordReset) {
	s := a.s
	if s.keywordExt == nil {
		return
	}
	for _, r := range rs {
		from, to := s.FindRange(r.First, r.Last)
		a.touchModSeq(from, to)
		for i := from; i < to; i++ {
			clear(s.keywordExt.Record(i))
		}
	}
}

// writeKeywords brings the header data of the keywords extension up to date.
func (s *State) writeKeywords() {
	if !s.keywords.changed || s.keywordExt == nil {
		return
	}
	s.keywords.changed = false
	copy(s.keywordExt.hdr, AppendKeywords(nil, s.keywords.names))
}

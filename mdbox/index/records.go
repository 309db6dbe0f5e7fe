package index

import (
	"math"

	"github.com/roostmail/roost/mdbox/translog"
)

// Records returns what an index in which nothing has happened must be told to become like
// s: for Reset, after a rebuild. Only the messages are kept for whose number keep returns true,
// or all if keep is nil.
//
// UIDs, flags, keywords, header fields, and extensions with their reset_ids stay, so that
// also the cache remains valid. What does not stay are modseqs, as after a rebuild by
// Dovecot: all messages get a new one. Keywords that no message has are forgotten.
func (s *State) Records(keep func(i int) bool) []translog.NewRecord {
	var kept []int
	for i := range s.uids {
		if keep == nil || keep(i) {
			kept = append(kept, i)
		}
	}
	var rs []translog.NewRecord
	add := func(ps ...translog.Payload) {
		for _, p := range ps {
			rs = append(rs, translog.NewRecord{External: true, Payload: p})
		}
	}
	if v := s.UIDValidity(); v != 0 {
		add(UIDValidityUpdate(v))
	}
	if s.modSeqExt != nil {
		add(translog.ExtIntros{NewIntro(extModSeq, modSeqHeaderSize, modSeqRecordSize, modSeqRecordSize)},
			translog.ExtHdrUpdates{{Data: ModSeqHeader{Highest: max(s.HighestModSeq(), s.logModSeq)}.Append(nil)}})
	}
	if len(kept) > 0 {
		appends := make(translog.Appends, len(kept))
		for k, i := range kept {
			appends[k] = translog.AppendedMessage{UID: s.uids[i], Flags: s.flags[i]}
		}
		add(appends)
	}
	for _, e := range s.exts {
		if e != s.keywordExt && e != s.modSeqExt {
			add(s.extRecords(e, kept)...)
		}
	}
	add(s.keywordRecords(kept)...)
	add(NextUIDUpdate(s.NextUID()), FirstRecentUIDUpdate(s.FirstRecentUID()),
		translog.HeaderUpdates{{Offset: offLastTempFileScan, Data: s.hdr.b[offLastTempFileScan:HeaderSize]}})
	return rs
}

// extRecords makes an extension, with the data of the messages kept.
func (s *State) extRecords(e *Ext, kept []int) []translog.Payload {
	in := NewIntro(e.Name, e.hdrSize, e.RecordSize, e.RecordAlign)
	in.ResetID = e.ResetID
	for in.RecordAlign > 8 || in.RecordAlign&(in.RecordAlign-1) != 0 { // without record data it means nothing, and may be anything
		in.RecordAlign &= in.RecordAlign - 1
	}
	ps := []translog.Payload{translog.ExtIntros{in}}
	switch hdr := e.Header(); {
	case len(hdr) > math.MaxUint16:
		ps = append(ps, translog.ExtHdrUpdates32{{Data: hdr}})
	case len(hdr) > 0:
		ps = append(ps, translog.ExtHdrUpdates{{Data: hdr}})
	}
	if e.RecordSize == 0 {
		return ps
	}
	us := translog.NewExtRecUpdates(e.RecordSize)
	for _, i := range kept {
		if rec := e.Record(i); !isZero(rec) {
			us.Add(s.uids[i], rec)
		}
	}
	if us.Len() > 0 {
		ps = append(ps, us)
	}
	return ps
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// keywordRecords gives the messages kept their keywords, in the order of keyword numbers.
func (s *State) keywordRecords(kept []int) (ps []translog.Payload) {
	words := s.KeywordWords()
	ranges := make([][]translog.UIDRange, len(s.keywords.names))
	var set []uint64
	for n, i := range kept {
		set = s.AppendKeywords(set[:0], i, words)
		for k := range ranges {
			if set[k/64]&(1<<(k%64)) == 0 {
				continue
			}
			last := len(ranges[k]) - 1
			if n > 0 && last >= 0 && ranges[k][last].Last == s.uids[kept[n-1]] {
				ranges[k][last].Last = s.uids[i]
			} else {
				ranges[k] = append(ranges[k], translog.UIDRange{First: s.uids[i], Last: s.uids[i]})
			}
		}
	}
	for k, rs := range ranges {
		if len(rs) > 0 {
			ps = append(ps, translog.KeywordUpdate{Name: s.keywords.names[k], UIDs: rs})
		}
	}
	return ps
}

package index

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/translog"
)

// touchModSeq gives the messages [from, to) the modseq of the record being
// applied, if they have a lower one.
func (a *applier) touchModSeq(from, to int) {
	s := a.s
	if s.modSeqExt == nil || !s.modSeqHdr {
		return
	}
	touched := false
	for i := from; i < to; i++ {
		if s.doomed.has(i) {
			continue
		}
		touched = true
		if rec := s.modSeqExt.Record(i); binary.LittleEndian.Uint64(rec) < s.logModSeq {
			binary.LittleEndian.PutUint64(rec, s.logModSeq)
		}
	}
	if touched {
		a.raiseHighest(s.logModSeq)
	}
}

// raiseHighest raises the highest modseq in the header of the modseq extension.
// Dovecot does so only when a record touched something, so that the value can
// stay behind the one that is counted along the log.
func (a *applier) raiseHighest(v uint64) {
	s := a.s
	if s.modSeqExt == nil || !s.modSeqHdr || s.modSeqExt.hdrSize != modSeqHeaderSize {
		return
	}
	if binary.LittleEndian.Uint64(s.modSeqExt.hdr) < v {
		binary.LittleEndian.PutUint64(s.modSeqExt.hdr, v)
	}
}

// modSeqHeaderSet is called when the log wrote to the header of the modseq
// extension. The first time, that enables the modseqs of messages: all existing
// ones get the highest modseq that the header names, which is what clients were
// told before. Later, it is a process that did not know that they are enabled: what
// it knew as the highest one is out of date, and Dovecot does not go back to it
// (mail-index-modseq.c, mail_index_modseq_update_header).
func (a *applier) modSeqHeaderSet() error {
	s := a.s
	if s.modSeqHdr {
		a.raiseHighest(s.logModSeq)
		return nil
	}
	s.modSeqHdr = true
	told := s.HighestModSeq()
	s.fillModSeqs(told)
	if told < s.logModSeq {
		return a.recountModSeqs(told)
	}
	return nil
}

// recountModSeqs gives messages the modseqs of records that lie between the one
// whose modseq is told and the current one: another process wrote them after
// the header's value was read and before it was written.
func (a *applier) recountModSeqs(told uint64) error {
	s, now := a.s, a.s.logModSeq
	defer func() { s.logModSeq = now }()
	hdr := &a.file.Header
	s.logModSeq = hdr.InitialModSeq
	_, err := a.file.Scan(uint32(hdr.HdrSize), int64(a.r.Pos.Offset), func(r *translog.Record) error {
		s.logModSeq = translog.NextModSeq(s.logModSeq, r, hdr.MinorVersion)
		if s.logModSeq <= told {
			return nil
		}
		switch r.Header.Type {
		case translog.TypeAppend, translog.TypeFlagUpdate, translog.TypeKeywordUpdate, translog.TypeKeywordReset, translog.TypeAttributeUpdate:
		default:
			return nil
		}
		p, err := r.Decode(0)
		if err != nil {
			return err
		}
		for _, u := range touchedUIDs(p) {
			a.touchModSeq(s.FindRange(u.First, u.Last))
		}
		a.raiseHighest(s.logModSeq)
		return nil
	})
	return err
}

// touchedUIDs returns the messages that a record appends or changes.
func touchedUIDs(p translog.Payload) (rs []translog.UIDRange) {
	switch p := p.(type) {
	case translog.Appends:
		for _, m := range p {
			rs = append(rs, translog.UIDRange{First: m.UID, Last: m.UID})
		}
	case translog.FlagUpdates:
		for _, u := range p {
			rs = append(rs, u.UIDs)
		}
	case translog.KeywordUpdate:
		return p.UIDs
	case translog.KeywordReset:
		return p
	}
	return rs
}

// fillModSeqs gives v to all messages that have no modseq.
func (s *State) fillModSeqs(v uint64) {
	for i := range s.uids {
		if rec := s.modSeqExt.Record(i); binary.LittleEndian.Uint64(rec) == 0 {
			binary.LittleEndian.PutUint64(rec, v)
		}
	}
}

func (a *applier) modSeqUpdates(us translog.ModSeqUpdates) {
	s := a.s
	var highest uint64
	for _, u := range us {
		if u.UID == 0 {
			highest = max(highest, u.ModSeq)
			continue
		}
		i, found := s.Find(u.UID)
		if !found {
			continue
		}
		if s.modSeqExt == nil {
			a.problem("modseq-update: messages have no modseqs yet")
			return
		}
		highest = max(highest, u.ModSeq)
		if rec := s.modSeqExt.Record(i); binary.LittleEndian.Uint64(rec) <= u.ModSeq {
			binary.LittleEndian.PutUint64(rec, u.ModSeq)
		}
	}
	a.raiseHighest(highest)
}

// markModSeqs notes in the header of the modseq extension up to where it is right.
func (s *State) markModSeqs() {
	if s.modSeqExt == nil || !s.modSeqHdr || s.modSeqExt.hdrSize != modSeqHeaderSize {
		return
	}
	binary.LittleEndian.PutUint32(s.modSeqExt.hdr[offModSeqLogSeq:], s.pos.FileSeq)
	binary.LittleEndian.PutUint32(s.modSeqExt.hdr[offModSeqLogOffset:], s.pos.Offset)
}

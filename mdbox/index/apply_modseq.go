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
// ones get the mailbox's highest modseq, which is what clients were told before.
func (a *applier) modSeqHeaderSet() {
	s := a.s
	if s.modSeqHdr {
		return
	}
	s.modSeqHdr = true
	s.fillModSeqs(s.HighestModSeq())
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

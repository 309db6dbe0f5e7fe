package index

import (
	"errors"
	"fmt"

	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// replay applies segments of chain to s, and makes s the state of x. Damage is
// reported and leaves x stuck at the last record before it; other errors leave
// x.state as it was, unless s is that.
func (x *Index) replay(s *State, chain *translog.Chain, segments []translog.Segment) error {
	stuck, err := x.applySegments(s, segments)
	s.finish()
	if err != nil {
		return fmt.Errorf("index: read log: %w", err)
	}
	if err := s.hdr.check(); err != nil && !s.unsound {
		s.unsound = true
		x.report(&vfs.CorruptError{File: chain.Head.Path, Offset: int64(s.pos.Offset), Rule: "the records before give an unsound header: " + rule(err)})
	}
	if s != x.state {
		x.replayed = 0
		for _, seg := range segments {
			x.replayed += seg.End - int64(seg.From)
		}
	}
	x.state, x.stuck = s, stuck
	x.noteLog(chain.Head)
	if stuck {
		x.noteSnapshot()
	}
	return nil
}

// applySegments applies segments to s up to the first damage, for which stuck is true.
func (x *Index) applySegments(s *State, segments []translog.Segment) (stuck bool, err error) {
	for _, seg := range segments {
		if seg.Start().FileSeq != s.pos.FileSeq {
			s.beginFile(seg.File)
		}
		a := &applier{s: s, file: seg.File, report: x.report}
		end, err := seg.File.Scan(seg.From, seg.End, a.apply)
		if err == nil && seg.Exact && int64(end.Offset) != seg.End {
			err = vfs.At(vfs.Corrupt(int64(end.Offset), "the records end here, the next file says at %d", seg.End), seg.File.Path, 0)
		}
		var corrupt *vfs.CorruptError
		if errors.As(err, &corrupt) {
			x.report(corrupt)
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// beginFile moves s from the end of a log file to the start of the next one.
func (s *State) beginFile(f *translog.File) {
	s.pos = f.Header.Start()
	s.logModSeq = f.Header.InitialModSeq
	s.hdr.set(offLogTailOffset, 0)
	s.pending = nil
	s.intro = introduced{}
}

// finish completes s after a series of records.
func (s *State) finish() {
	s.cutDoomed()
	s.writeKeywords()
	s.markModSeqs()
	s.hdr.set(offLogFileSeq, s.pos.FileSeq)
	s.hdr.set(offLogHeadOffset, s.pos.Offset)
}

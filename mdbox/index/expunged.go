package index

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// ExpungedSince returns the UIDs of messages that were expunged with a modseq above the given one, ascending, as ranges
// that neither overlap nor contain a UID in use. They may contain UIDs that never belonged to a message.
//
// It reads the log again. ErrHistoryGone: the log does not reach back so far, or is damaged, or the index was started anew.
//
// Source: log.md §6; dovecot src/lib-index/mail-transaction-log-view.c, mailbox_get_expunges.
func (x *Index) ExpungedSince(modseq uint64) ([]translog.UIDRange, error) {
	// What the header says is no measure: it can be behind, in a snapshot too.
	if modseq >= max(x.state.logModSeq, x.state.HighestModSeq()) {
		return nil, nil
	}
	chain, err := translog.OpenChain(x.o.FS, x.logPath(), x.o.MaxFileBytes)
	if err != nil {
		return nil, historyGone("expunged messages", err)
	}
	defer chain.Close()
	to := x.state.Position()
	if chain.Head.Header.IndexID != to.IndexID || x.replaced(chain.Head) {
		return nil, ErrHistoryGone
	}
	segments, ok := segmentsSince(chain, modseq)
	if !ok || to.Log.Before(segments[0].Start()) {
		return nil, ErrHistoryGone
	}
	w := newWalk(x.state)
	w.onlyExpunges, w.above = true, modseq
	if err := w.walk(segments, to.Log); err != nil {
		return nil, historyGone("expunged messages", err)
	}
	return x.state.without(w.ranges), nil
}

// historyGone makes the error of reading an old part of the log.
func historyGone(what string, err error) error {
	var corrupt *vfs.CorruptError
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, &corrupt) {
		return fmt.Errorf("%w: %w", ErrHistoryGone, err)
	}
	return fmt.Errorf("index: %s: %w", what, err)
}

// segmentsSince returns the parts of the log with all records that have a modseq above the given one.
func segmentsSince(c *translog.Chain, modseq uint64) ([]translog.Segment, bool) {
	for _, f := range []*translog.File{c.Head, c.Prev} {
		if f == nil || !beginsBefore(&f.Header, modseq) {
			continue
		}
		return c.Segments(translog.Pos{FileSeq: f.Header.FileSeq, Offset: uint32(f.Header.HdrSize)})
	}
	return nil, false
}

// beginsBefore reports whether a log file has all that happened after a modseq. What a reset has removed is not in the file.
func beginsBefore(h *translog.Header, modseq uint64) bool {
	switch {
	case h.InitialModSeq == 0: // older than modseqs
		return false
	case h.Resets() && h.InitialModSeq > smallestValidModSeq:
		return h.InitialModSeq < modseq
	}
	return h.InitialModSeq <= modseq
}

// without joins ranges, sorts them, and takes out of them the UIDs that are in use, and those that are not yet.
func (s *State) without(rs []translog.UIDRange) []translog.UIDRange {
	slices.SortFunc(rs, func(a, b translog.UIDRange) int { return cmp.Compare(a.First, b.First) })
	var out []translog.UIDRange
	add := func(first, last uint32) {
		switch n := len(out); {
		case first > last:
		case n > 0 && first <= out[n-1].Last+1:
			out[n-1].Last = max(out[n-1].Last, last)
		default:
			out = append(out, translog.UIDRange{First: first, Last: last})
		}
	}
	for _, r := range rs {
		first, last := r.First, min(r.Last, s.NextUID()-1)
		from, to := s.FindRange(first, last)
		for _, uid := range s.uids[from:to] {
			add(first, uid-1)
			first = uid + 1
		}
		add(first, last)
	}
	return out
}

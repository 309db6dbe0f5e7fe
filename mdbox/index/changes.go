package index

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// Changes is what happened to an index between two positions. All lists are
// ascending by UID.
type Changes struct {
	// Appended are the messages that came and are still there.
	Appended []uint32
	// Updated are messages that were there before and still are, and of which
	// flags, keywords or the modseq were set, perhaps to what they were before.
	Updated []uint32
	// Expunged are messages that were there before and are gone. A writer that
	// expunges ranges may have included UIDs that never belonged to a message.
	Expunged []uint32
	// To is the end of the interval: the Position of the State.
	To Position
}

// maxExpunged is how many expunged UIDs Changes lists; more count as history gone.
const maxExpunged = 1 << 20

// errExpunged: more than maxExpunged.
var errExpunged = errors.New("index: too many expunged UIDs")

// Changes returns what happened from since, a position of this index from any
// process at any time, to the state of the last Refresh.
//
// It reads the log again from there. If that is not possible any more, the
// error is ErrHistoryGone: the log files of that time were deleted or are
// damaged, the index was recreated or rebuilt, or since is not of this index.
func (x *Index) Changes(since Position) (*Changes, error) {
	to := x.state.Position()
	if since == to {
		return &Changes{To: to}, nil
	}
	if since.IndexID != to.IndexID || since.UIDValidity != to.UIDValidity || to.Log.Before(since.Log) {
		return nil, ErrHistoryGone
	}
	if b, ok := x.state.own.between(since.Log, to.Log); ok {
		w := newWalk(x.state)
		if err := w.walkBytes(b, since.Log); err == nil {
			return w.changes(to), nil
		}
	}
	chain, err := x.openChainFrom(since.Log)
	var corrupt *vfs.CorruptError
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, &corrupt) {
		return nil, fmt.Errorf("%w: %w", ErrHistoryGone, err)
	}
	if err != nil {
		return nil, fmt.Errorf("index: changes: %w", err)
	}
	defer chain.Close()
	segments, ok := chain.Segments(since.Log)
	if !ok || resetsAfter(since.Log, segments) {
		return nil, ErrHistoryGone
	}
	w := newWalk(x.state)
	if err := w.walk(segments, to.Log); err != nil {
		if errors.As(err, &corrupt) || errors.Is(err, errExpunged) {
			return nil, fmt.Errorf("%w: %w", ErrHistoryGone, err)
		}
		return nil, fmt.Errorf("index: changes: %w", err)
	}
	return w.changes(to), nil
}

// walk collects the UIDs that log records name.
type walk struct {
	s             *State
	touched       []span // of message numbers, in the order of the log
	firstAppended uint32 // the lowest UID that was appended, or next_uid
	expunged      []uint32

	onlyExpunges bool // only ranges is wanted: what was expunged with a modseq above
	above        uint64
	modseq       uint64 // after the record that was read last
	ranges       []translog.UIDRange
}

// span is from <= i < to.
type span struct{ from, to int }

func newWalk(s *State) *walk { return &walk{s: s, firstAppended: s.NextUID()} }

// walk reads segments up to the position to, which must be where a record ends.
func (w *walk) walk(segments []translog.Segment, to translog.Pos) error {
	var end translog.Pos
	for _, seg := range segments {
		seq := seg.File.Header.FileSeq
		if seq > to.FileSeq {
			break
		}
		stop := seg.End
		if seq == to.FileSeq {
			stop = min(stop, int64(to.Offset))
		}
		read := w.record
		if w.onlyExpunges {
			w.modseq, read = seg.File.Header.InitialModSeq, func(r *translog.Record) error { return w.expunge(r, seg.File.Header.MinorVersion) }
		}
		var err error
		if end, err = seg.File.Scan(seg.From, stop, read); err != nil {
			return err
		}
		if seg.Exact && int64(end.Offset) != stop {
			return vfs.At(vfs.Corrupt(int64(end.Offset), "the records end here, not at %d", stop), seg.File.Path, 0)
		}
	}
	if end != to {
		return vfs.Corrupt(int64(end.Offset), "no record ends at %v", to)
	}
	return nil
}

// walkBytes reads b, which begins at pos in a log and ends where a record does.
func (w *walk) walkBytes(b []byte, pos translog.Pos) error {
	s := translog.NewScanner(b, pos)
	for {
		r, ok := s.Next()
		if !ok {
			break
		}
		if err := w.record(&r); err != nil {
			return err
		}
	}
	if err := s.Err(); err != nil {
		return err
	}
	if end := s.Pos(); int(end.Offset-pos.Offset) != len(b) {
		return vfs.Corrupt(int64(end.Offset), "no record ends at %d", int(pos.Offset)+len(b))
	}
	return nil
}

func (w *walk) record(r *translog.Record) error {
	switch r.Header.Type {
	case translog.TypeAppend, translog.TypeExpunge, translog.TypeExpungeGUID, translog.TypeFlagUpdate,
		translog.TypeKeywordUpdate, translog.TypeKeywordReset, translog.TypeModSeqUpdate:
	default: // names no message of whom a client could see the change
		return nil
	}
	p, err := r.Decode(0)
	if err != nil {
		return err
	}
	switch p := p.(type) {
	case translog.Appends:
		w.firstAppended = min(w.firstAppended, p[0].UID)
	case translog.Expunges:
		return w.expunges(r, p)
	case translog.ExpungeGUIDs:
		for _, e := range p {
			if err := w.expunges(r, []translog.UIDRange{{First: e.UID, Last: e.UID}}); err != nil {
				return err
			}
		}
	case translog.FlagUpdates:
		for _, u := range p {
			if !u.Internal() {
				w.touch(u.UIDs)
			}
		}
	case translog.KeywordUpdate:
		w.touch(p.UIDs...)
	case translog.KeywordReset:
		w.touch(p...)
	case translog.ModSeqUpdates:
		for _, u := range p {
			if u.UID != 0 {
				w.touch(translog.UIDRange{First: u.UID, Last: u.UID})
			}
		}
	}
	return nil
}

// expunge collects the ranges of an expunge record. Segments begin at the start of their files, whose headers say the modseq there.
func (w *walk) expunge(r *translog.Record, minorVersion uint8) error {
	w.modseq = translog.NextModSeq(w.modseq, r, minorVersion)
	if w.modseq <= w.above || !r.Header.External {
		return nil
	}
	switch r.Header.Type {
	case translog.TypeExpunge, translog.TypeExpungeGUID:
	default:
		return nil
	}
	p, err := r.Decode(0)
	if err != nil {
		return err
	}
	switch p := p.(type) {
	case translog.Expunges:
		w.ranges = append(w.ranges, p...)
	case translog.ExpungeGUIDs:
		for _, e := range p {
			w.ranges = append(w.ranges, translog.UIDRange{First: e.UID, Last: e.UID})
		}
	}
	return nil
}

func (w *walk) touch(rs ...translog.UIDRange) {
	for _, r := range rs {
		from, to := w.s.FindRange(r.First, r.Last)
		if from >= to {
			continue
		}
		if n := len(w.touched); n > 0 && w.touched[n-1].to == from { // a record of many messages names them one by one
			w.touched[n-1].to = to
			continue
		}
		w.touched = append(w.touched, span{from, to})
	}
}

// expunges notes the UIDs of an expunge record, if it is not only a request.
func (w *walk) expunges(r *translog.Record, rs []translog.UIDRange) error {
	if !r.Header.External {
		return nil
	}
	for _, u := range rs {
		last := min(u.Last, w.s.NextUID()-1)
		if u.First > last {
			continue
		}
		if uint64(last-u.First) >= maxExpunged || len(w.expunged)+int(last-u.First) >= maxExpunged {
			return errExpunged
		}
		for uid := uint64(u.First); uid <= uint64(last); uid++ {
			w.expunged = append(w.expunged, uint32(uid))
		}
	}
	return nil
}

// changes makes the lists. A message that came and went in between is in none.
func (w *walk) changes(to Position) *Changes {
	c := &Changes{To: to}
	first, _ := w.s.Find(w.firstAppended)
	slices.SortFunc(w.touched, func(a, b span) int { return a.from - b.from })
	next := 0
	for _, t := range w.touched {
		t.from, t.to = max(t.from, next), min(t.to, first)
		if t.from < t.to {
			c.Updated = append(c.Updated, w.s.uids[t.from:t.to]...)
			next = t.to
		}
	}
	c.Appended = slices.Clone(w.s.uids[first:])
	slices.Sort(w.expunged)
	for _, uid := range slices.Compact(w.expunged) {
		if uid >= w.firstAppended {
			break
		}
		if _, there := w.s.Find(uid); !there {
			c.Expunged = append(c.Expunged, uid)
		}
	}
	return c
}

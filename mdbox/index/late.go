package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// late is what a State has not read yet of its snapshot: the columns of extensions, but for those of keywords and modseqs. See Options.Late.
type late struct {
	exts       []*Ext
	offsets    []uint16 // of exts, in a record
	start      int64    // where the records begin in the file
	recordSize int
	info       vfs.Info    // of the file
	r          io.ReaderAt // the file while it is open, else nil
}

// errOther: what is in a snapshot is not what was read of it before.
var errOther = errors.New("index: another snapshot")

// postpone leaves columns for later, and returns offsets, those of all extensions.
func (s *State) postpone(offsets []uint16) {
	l := &late{start: int64(s.hdr.HeaderSize()), recordSize: int(s.hdr.RecordSize())}
	for k, e := range s.exts {
		if e.RecordSize > 0 && e != s.keywordExt && e != s.modSeqExt {
			l.exts, l.offsets = append(l.exts, e), append(l.offsets, offsets[k])
		}
	}
	if len(l.exts) > 0 {
		s.late = l
	}
}

// isLate reports whether the column of an extension has not been read.
func (s *State) isLate(e *Ext) bool { return s.late != nil && slices.Contains(s.late.exts, e) }

// readLate reads what is late. r is the snapshot that s was read from. After an error nothing has changed.
func (s *State) readLate(r io.ReaderAt) error {
	l, uids := s.late, s.uids
	columns := make([][]byte, len(l.exts))
	for k, e := range l.exts {
		columns[k] = make([]byte, 0, roomFor(len(uids))*int(e.RecordSize))
	}
	err := eachChunk(r, l.start, l.recordSize, len(uids), func(b []byte, _ int64) error {
		for rec := b; len(rec) > 0; rec = rec[l.recordSize:] {
			if binary.LittleEndian.Uint32(rec) != uids[0] {
				return errOther
			}
			uids = uids[1:]
		}
		for k, e := range l.exts {
			columns[k] = appendColumn(columns[k], b[l.offsets[k]:], l.recordSize, int(e.RecordSize))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for k, e := range l.exts {
		e.column = column{b: columns[k]}
	}
	s.late = nil
	return nil
}

// complete reads what is late in the state. If that is not to be had any more, everything is read again.
func (x *Index) complete() error {
	s := x.state
	if s.late == nil {
		return nil
	}
	if f, err := x.o.FS.Open(x.snapshotPath()); err == nil {
		defer f.Close()
		if info, err := f.Stat(); err == nil && info == s.late.info && s.readLate(f) == nil {
			return nil
		}
	}
	return x.load()
}

// concernsExts reports whether a record of a log can not be applied to a state of which columns are late.
func concernsExts(t translog.Type) bool {
	switch t {
	case translog.TypeFlagUpdate, translog.TypeHeaderUpdate, translog.TypeExtHdrUpdate, translog.TypeExtHdrUpdate32, translog.TypeKeywordUpdate,
		translog.TypeKeywordReset, translog.TypeModSeqUpdate, translog.TypeAttributeUpdate, translog.TypeBoundary:
		return false
	}
	return true
}

// closed is called when the snapshot is closed.
func (s *State) closed() {
	if s.late != nil {
		s.late.r = nil
	}
}

// readLateFor reads what is late if a record needs it, from the file that is still open.
func (s *State) readLateFor(t translog.Type) error {
	if s.late == nil || !concernsExts(t) {
		return nil
	}
	if err := s.readLate(s.late.r); err != nil {
		return fmt.Errorf("columns of extensions: %w", err)
	}
	return nil
}

package translog

import (
	"errors"
	"io/fs"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Chain is the log files of an index that exist at one moment.
type Chain struct {
	Head *File // .log
	Prev *File // .log.2, if Head continues it; else nil
}

// OpenChain opens the log with the path base (".../dovecot.index.log") and its
// predecessor, as far as that one belongs to it. maxBytes is as for OpenFile.
// The caller closes the chain.
//
// Errors are those of OpenFile for .log. A predecessor that can not be read only
// means less history.
//
// Rotation links .log to .log.2 before it renames the new file to .log, so the
// two names may be one file for a moment, and a rotation between the two opens
// shows .log.2 as the file that is already open: both count as no predecessor,
// since the true one is gone by then.
func OpenChain(fsys vfs.FS, base string, maxBytes int64) (*Chain, error) {
	head, err := OpenFile(fsys, base, maxBytes)
	if err != nil {
		return nil, err
	}
	c := &Chain{Head: head}
	if head.Header.Resets() {
		return c, nil
	}
	prev, err := OpenFile(fsys, base+".2", maxBytes)
	var corrupt *vfs.CorruptError
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.As(err, &corrupt):
		return c, nil
	case err != nil:
		head.Close()
		return nil, err
	}
	if !precedes(prev, head) {
		prev.Close()
		return c, nil
	}
	c.Prev = prev
	return c, nil
}

func precedes(prev, head *File) bool {
	return !prev.Info.SameFile(head.Info) &&
		prev.Header.FileSeq == head.Header.PrevFileSeq &&
		prev.Header.IndexID == head.Header.IndexID
}

// Close closes the files.
func (c *Chain) Close() error {
	err := c.Head.Close()
	if c.Prev != nil {
		err = errors.Join(err, c.Prev.Close())
	}
	return err
}

// A Segment is a part of a log file.
type Segment struct {
	File *File
	From uint32 // offset of the first record, in bytes
	End  int64  // offset where reading stops, in bytes
	// Exact: the records must end at End, because the next file says so.
	Exact bool
}

// Start is the position of the segment's first record.
func (s *Segment) Start() Pos { return Pos{s.File.Header.FileSeq, s.From} }

// Resets reports whether the index is empty at the start of the segment.
func (s *Segment) Resets() bool {
	return s.File.Header.Resets() && s.From == uint32(s.File.Header.HdrSize)
}

// Segments returns what is to be read to come from pos to the end of the log,
// or false if the log does not reach back to pos. When the index was reset
// after pos, that is the part since the reset (Segment.Resets).
func (c *Chain) Segments(pos Pos) ([]Segment, bool) {
	head := Segment{File: c.Head, From: uint32(c.Head.Header.HdrSize), End: c.Head.Info.Size}
	h := &c.Head.Header
	switch {
	case pos.FileSeq == h.FileSeq:
		if pos.Offset < head.From || int64(pos.Offset) > head.End {
			return nil, false
		}
		head.From = pos.Offset
		return []Segment{head}, true
	case pos.FileSeq > h.FileSeq:
		return nil, false
	case h.Resets(), pos == Pos{h.PrevFileSeq, h.PrevFileOffset}:
		return []Segment{head}, true
	case c.Prev == nil:
		return nil, false
	}
	prev := Segment{File: c.Prev, From: uint32(c.Prev.Header.HdrSize), End: int64(h.PrevFileOffset), Exact: true}
	switch p := &c.Prev.Header; {
	case pos.FileSeq == p.FileSeq:
		if pos.Offset < prev.From || int64(pos.Offset) > prev.End {
			return nil, false
		}
		prev.From = pos.Offset
		return []Segment{prev, head}, true
	case p.Resets(), pos == Pos{p.PrevFileSeq, p.PrevFileOffset}:
		return []Segment{prev, head}, true
	}
	return nil, false
}

// Whole returns the segments of all files of the chain, if they start the
// index from nothing; else false.
func (c *Chain) Whole() ([]Segment, bool) { return c.Segments(Pos{}) }

// File returns the file of the chain with the given sequence number, or nil.
func (c *Chain) File(seq uint32) *File {
	switch {
	case c.Head.Header.FileSeq == seq:
		return c.Head
	case c.Prev != nil && c.Prev.Header.FileSeq == seq:
		return c.Prev
	}
	return nil
}

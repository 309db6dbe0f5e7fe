package translog

import (
	"errors"
	"fmt"
	"io"

	"github.com/roostmail/roost/mdbox/vfs"
)

// DefaultMaxLogBytes is the limit for the size of a log file when a caller sets
// none. Dovecot rotates logs at 1 MiB, as soon as a session syncs the mailbox.
const DefaultMaxLogBytes = 512 << 20

// startSize is enough for the transaction that initialises a mailbox: with its
// GUID, which no other mailbox has.
const startSize = 512

// File is an open log file. It is safe for concurrent use.
type File struct {
	Path   string
	Header Header
	Info   vfs.Info // when it was opened
	// Start is the start of the file, header and first transaction, up to
	// startSize bytes. It never changes, so it tells this log from one
	// that took its name.
	Start []byte

	f        vfs.File
	maxBytes int64
}

// OpenFile opens a log file and decodes its header; maxBytes limits the size of
// what is read at once, 0 = DefaultMaxLogBytes. The caller closes it.
//
// Errors are those of fsys (fs.ErrNotExist), or a *vfs.CorruptError for the header.
func OpenFile(fsys vfs.FS, path string, maxBytes int64) (*File, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	l, err := NewFile(f, path, maxBytes)
	if err != nil {
		f.Close()
		return nil, err
	}
	return l, nil
}

// NewFile is like OpenFile for a file that is open already; path is for messages.
// f is closed by Close, but not after an error.
func NewFile(f vfs.File, path string, maxBytes int64) (*File, error) {
	l := &File{Path: path, f: f, maxBytes: maxBytes}
	if l.maxBytes == 0 {
		l.maxBytes = DefaultMaxLogBytes
	}
	if err := l.readHeader(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *File) readHeader() error {
	info, err := l.f.Stat()
	if err != nil {
		return err
	}
	l.Info = info
	b, err := l.read(0, min(info.Size, startSize))
	if err != nil {
		return err
	}
	l.Start = b
	if size := headerSize(b); size > startSize { // a newer writer
		if b, err = l.read(0, min(info.Size, size)); err != nil {
			return err
		}
	}
	l.Header, err = DecodeHeader(b)
	return vfs.At(err, l.Path, 0)
}

// Update brings Info and Start up to date with what was written to the file since.
func (l *File) Update() error {
	if len(l.Start) < startSize {
		return l.readHeader()
	}
	info, err := l.f.Stat()
	if err == nil {
		l.Info = info
	}
	return err
}

// read returns the bytes [from, end) of the file, or fewer, if it ends earlier:
// a file may shrink at any time, and what is left is judged by the decoder.
func (l *File) read(from, end int64) ([]byte, error) {
	if from >= end {
		return nil, nil
	}
	if end-from > l.maxBytes {
		return nil, fmt.Errorf("%s: %d bytes at %d, MaxLogBytes is %d: %w", l.Path, end-from, from, l.maxBytes, vfs.ErrTooLarge)
	}
	b := make([]byte, end-from)
	n, err := l.f.ReadAt(b, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:n], nil
}

// Scan reads the bytes [from, end) of the file and calls fn for each complete
// record in them, in order. The record is valid only until fn returns.
//
// The result is the position just after the last complete record. The error is
// that of fn or of a read, or a *vfs.CorruptError when what follows that
// position breaks the format.
func (l *File) Scan(from uint32, end int64, fn func(r *Record) error) (Pos, error) {
	pos := Pos{l.Header.FileSeq, from}
	b, err := l.read(int64(from), min(end, MaxOffset))
	if err != nil {
		return pos, err
	}
	s := NewScanner(b, pos)
	for {
		r, ok := s.Next()
		if !ok {
			return s.Pos(), vfs.At(s.Err(), l.Path, 0)
		}
		if err := fn(&r); err != nil {
			return r.Pos, vfs.At(err, l.Path, 0)
		}
	}
}

// Close closes the file.
func (l *File) Close() error { return l.f.Close() }

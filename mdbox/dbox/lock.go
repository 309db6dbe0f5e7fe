package dbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/roostmail/roost/mdbox/vfs"
)

// ErrBusy says that somebody else has the lock of a mail file: it is being appended to, or purged.
var ErrBusy = errors.New("dbox: mail file is locked")

// Locked is a mail file under its FILE lock (flock, spec mdbox.md §6): nobody else appends to it or purges it.
// It is for one goroutine at a time.
type Locked struct {
	files  *Files
	f      vfs.WritableFile
	id     FileID
	alt    bool
	header FileHeader
	first  uint64 // offset of the first message
	size   uint64 // of the file when it was locked
}

// Lock locks m.<id> for a purge, in primary storage or else in ALT. It does not wait: the error is ErrBusy if
// somebody else has the lock, fs.ErrNotExist if there is no such file (any more), or a *vfs.CorruptError for
// a bad file header. The caller ends with Unlock.
func (s *Files) Lock(id FileID) (*Locked, error) {
	l, err := s.openToWrite(s.Path(id), id)
	if errors.Is(err, fs.ErrNotExist) && s.cfg.AltDir != "" {
		if l, err = s.openToWrite(s.altPath(id), id); err == nil {
			l.alt = true
		}
	}
	if err == nil {
		err = l.lock()
	}
	if err != nil {
		return nil, fmt.Errorf("dbox: lock mail file: %w", err)
	}
	return l, nil
}

// openToWrite opens a mail file and reads its header, without lock.
func (s *Files) openToWrite(path string, id FileID) (*Locked, error) {
	f, err := s.cfg.FS.OpenWrite(path, 0, 0)
	if err != nil {
		return nil, err
	}
	l := &Locked{files: s, f: f, id: id}
	var buf [fileHeaderMax]byte
	n, err := f.ReadAt(buf[:], 0)
	if err == io.EOF {
		err = nil
	}
	if err == nil {
		var first int
		l.header, first, err = DecodeFileHeader(append([]byte(nil), buf[:n]...))
		l.first = uint64(first)
		err = vfs.At(err, path, 0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return l, nil
}

// lock takes the lock of the open file and makes sure that its path still leads to it: a purge may have
// unlinked it meanwhile, which is fs.ErrNotExist. After an error the file is closed.
func (l *Locked) lock() error {
	err := func() error {
		ok, err := l.f.TryLock(vfs.LockFlock)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("%s: %w", l.f.Name(), ErrBusy)
		}
		now, err := l.files.cfg.FS.Stat(l.f.Name())
		if err != nil {
			return err
		}
		st, err := l.f.Stat()
		if err != nil {
			return err
		}
		if !st.SameFile(now) {
			return &fs.PathError{Op: "lock", Path: l.f.Name(), Err: fs.ErrNotExist}
		}
		l.size = uint64(st.Size)
		return nil
	}()
	if err != nil {
		l.f.Close()
	}
	return err
}

// ID returns the N of m.N.
func (l *Locked) ID() FileID { return l.id }

// Alt reports whether the file lies in ALT storage: its messages are copied to ALT files only.
func (l *Locked) Alt() bool { return l.alt }

// Header returns the file header.
func (l *Locked) Header() FileHeader { return l.header }

// Scan visits all messages of the file as the function Scan does.
func (l *Locked) Scan(visit func(h FileHeader, s *Scanned) error) error {
	return Scan(l.f, l.files.cfg.MaxMetadataSize, visit)
}

// Unlink removes the name of the file, when the map refers to it no more. Who has it open reads on; the lock stays.
func (l *Locked) Unlink() error { return l.files.cfg.FS.Remove(l.f.Name()) }

// Unlock releases the lock and closes the file.
func (l *Locked) Unlock() error {
	return errors.Join(l.f.Unlock(vfs.LockFlock), l.f.Close())
}

// appendable reports whether messages may be appended to the file at all.
func (l *Locked) appendable() bool {
	return l.header.Version == 2 && l.header.HeaderSize == messageHeaderSize
}

// checkFrom checks that the file has complete messages only from off to its end. Others may have appended some since the
// map was read. The error is a *vfs.CorruptError for garbage, which has to stay the last thing in its file.
func (l *Locked) checkFrom(off uint64) error {
	if off == l.size {
		return nil
	}
	if off > l.size || off < l.first {
		return vfs.At(vfs.Corrupt(int64(l.size), "file has the message that ends at %d", off), l.f.Name(), 0)
	}
	return scanFrom(l.f, l.header, off, l.files.cfg.MaxMetadataSize, func(FileHeader, *Scanned) error { return nil })
}

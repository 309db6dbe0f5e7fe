package dbox

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostmail/roost/mdbox/vfs"
)

// FileID is the N of a file m.N, from 1 on.
type FileID uint32

// Ref says where a message lies, as the map does.
type Ref struct {
	File   FileID
	Offset uint32 // of the message header, bytes from the start of the file; 0 = the first message
	// Size is that of header, body and metadata in bytes; 0 = not known. It only
	// helps to read the right amount: the message header decides.
	Size uint32
}

// ErrClosed is returned after Files.Close.
var ErrClosed = errors.New("dbox: store is closed")

// Files opens messages of the m.N files of one store and keeps the files open,
// the most recently used ones up to Config.MaxOpenFiles. It is safe for
// concurrent use.
type Files struct {
	cfg Config

	mu      sync.Mutex
	open    map[FileID]*file
	recent  list.List // of *file, most recently used first; those in open
	closed  bool
	notes   []*note            // kept, see note.go
	skipped map[Candidate]bool // files that could not be appended to, reported

	points checkpoints
}

// file is an open m.N file. It stays open while it is in Files.open or a message uses it.
type file struct {
	vfs.File
	id     FileID
	header FileHeader
	first  int          // offset of the first message
	info   vfs.Info     // when it was opened; only the identity is used
	seen   atomic.Int64 // when its path was last found to lead to it, UNIX time in nanoseconds

	// Guarded by Files.mu.
	users int // messages, plus 1 while in Files.open
	elem  *list.Element
}

// NewFiles returns the files of a store. It touches nothing.
func NewFiles(cfg Config) *Files {
	return &Files{cfg: cfg.withDefaults(), open: make(map[FileID]*file)}
}

// Path returns where m.<id> is expected in primary storage.
func (s *Files) Path(id FileID) string { return s.pathIn(s.cfg.StorageDir, id) }

// altPath returns where m.<id> is expected in ALT storage, which there is.
func (s *Files) altPath(id FileID) string { return s.pathIn(s.cfg.AltDir, id) }

func (s *Files) pathIn(dir string, id FileID) string {
	return filepath.Join(dir, s.cfg.Prefix+strconv.FormatUint(uint64(id), 10))
}

// Close closes the files that no message uses; the others close with their last message.
func (s *Files) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for s.recent.Len() > 0 {
		s.evict(s.recent.Back().Value.(*file))
	}
	return s.removeNotes()
}

// CloseIdle closes the files that no message uses. They are opened again when they are needed.
func (s *Files) CloseIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.open {
		if f.users == 1 {
			s.evict(f)
		}
	}
	_ = s.removeNotes() // who finds one that is left, removes it
}

// acquire returns the open file m.<id>, primary storage before ALT. The caller releases it.
// If there is none the error is fs.ErrNotExist.
func (s *Files) acquire(id FileID) (*file, error) {
	if f := s.lookup(id); f != nil {
		if s.current(f) {
			return f, nil
		}
		s.forget(f)
	}
	f, err := s.openFile(id)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		f.Close()
		return nil, ErrClosed
	}
	if old := s.open[id]; old != nil { // opened by another goroutine meanwhile
		s.evict(old)
	}
	f.users = 2
	f.elem = s.recent.PushFront(f)
	s.open[id] = f
	for s.recent.Len() > s.cfg.MaxOpenFiles {
		s.evict(s.recent.Back().Value.(*file))
	}
	return f, nil
}

// lookup returns the file if it is open, as used by one more.
func (s *Files) lookup(id FileID) *file {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.open[id]
	if f != nil {
		f.users++
		s.recent.MoveToFront(f.elem)
	}
	return f
}

// trusted is how long a file that has a name is taken to have the one it had: a repair may give it another name, so that it is not deleted.
const trusted = 100 * time.Millisecond

// current reports whether the file's path still leads to it: a purge unlinks
// files, and a repair replaces them. It is asked for each message, and to look at the open file takes a fraction of what a path does.
func (s *Files) current(f *file) bool {
	now := time.Now().UnixNano()
	if seen := f.seen.Load(); seen <= now && now-seen < int64(trusted) {
		if st, err := f.Stat(); err == nil && st.Links > 0 {
			return true
		}
	}
	st, err := s.cfg.FS.Stat(f.Name())
	if err != nil || !st.SameFile(f.info) {
		return false
	}
	f.seen.Store(now)
	return true
}

// forget releases a file and takes it out of the open ones.
func (s *Files) forget(f *file) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.elem != nil {
		s.evict(f)
	}
	s.unuse(f)
}

// release ends the use that acquire began.
func (s *Files) release(f *file) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unuse(f)
}

// evict takes a file out of the open ones. s.mu is held.
func (s *Files) evict(f *file) {
	s.recent.Remove(f.elem)
	f.elem = nil
	delete(s.open, f.id)
	s.unuse(f)
}

// unuse takes one user away and closes the file after the last. s.mu is held.
func (s *Files) unuse(f *file) {
	if f.users--; f.users == 0 {
		f.Close() // it was only read: nothing is lost by an error
	}
}

func (s *Files) openFile(id FileID) (*file, error) {
	v, err := s.cfg.FS.Open(s.Path(id))
	if errors.Is(err, fs.ErrNotExist) && s.cfg.AltDir != "" {
		alt, altErr := s.cfg.FS.Open(s.altPath(id))
		if !errors.Is(altErr, fs.ErrNotExist) {
			v, err = alt, altErr
		}
	}
	if err != nil {
		return nil, fmt.Errorf("dbox: open mail file: %w", err)
	}
	f := &file{File: v, id: id}
	if err := f.init(); err != nil {
		v.Close()
		return nil, err
	}
	return f, nil
}

// init reads the file header.
func (f *file) init() error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	f.info = info
	var buf [fileHeaderMax]byte
	n, err := f.ReadAt(buf[:], 0)
	if err != nil && err != io.EOF {
		return err
	}
	f.header, f.first, err = DecodeFileHeader(buf[:n])
	return vfs.At(err, f.Name(), 0)
}

package cache

import (
	"container/list"
	"errors"
	"fmt"
	"sync"

	"github.com/roostmail/roost/mdbox/vfs"
)

// ErrStale says that the cache file and the index do not belong together: the
// file was purged since the index state at hand, or before it. The caller may
// refresh the index and try again; otherwise there is no cache.
var ErrStale = errors.New("cache: file does not belong to the index state")

// ErrClosed is returned after Files.Close.
var ErrClosed = errors.New("cache: store is closed")

// Config bounds what Files keeps. A zero limit means the default.
type Config struct {
	FS vfs.FS // nil: vfs.OS
	// MaxOpenFiles is how many cache files stay open when nobody uses them. Default 64.
	MaxOpenFiles int
	// MaxMemory bounds the blocks of all files that are kept, in bytes. Blocks that
	// a Reader uses come on top. Default 64 MiB.
	MaxMemory int64
}

// Files keeps cache files and their recently used blocks. It is safe for concurrent use.
type Files struct {
	cfg Config

	mu     sync.Mutex
	open   map[string]*File
	recent list.List // of *File, most recently used first; those in open
	blocks list.List // of *block, most recently used first
	memory int64     // bytes of all blocks
	closed bool
}

// NewFiles touches nothing.
func NewFiles(cfg Config) *Files {
	if cfg.FS == nil {
		cfg.FS = vfs.OS
	}
	if cfg.MaxOpenFiles <= 0 {
		cfg.MaxOpenFiles = 64
	}
	if cfg.MaxMemory <= 0 {
		cfg.MaxMemory = 64 << 20
	}
	return &Files{cfg: cfg, open: make(map[string]*File)}
}

// Open returns the cache file at path, whose header must have the given indexid
// and file_seq: those of the index, and the reset_id of its cache extension. The
// caller closes the File.
//
// The error is fs.ErrNotExist if there is none, ErrStale if it has another
// identity, or a *vfs.CorruptError. In each case there is no cache.
func (s *Files) Open(path string, indexID, fileSeq uint32) (*File, error) {
	if f := s.lookup(path); f != nil {
		if f.header.FileSeq == fileSeq && f.header.IndexID == indexID && s.current(f) {
			return f, nil
		}
		s.drop(f)
		f.Close()
	}
	f, err := s.openFile(path)
	if err != nil {
		return nil, err
	}
	if f.header.IndexID != indexID || f.header.FileSeq != fileSeq {
		f.file.Close()
		return nil, fmt.Errorf("%w: %s: indexid %d file_seq %d, want %d %d", ErrStale, path,
			f.header.IndexID, f.header.FileSeq, indexID, fileSeq)
	}
	if err := s.keep(f); err != nil {
		return nil, err
	}
	return f, nil
}

// Close closes the files that nobody uses; the others close with their last user.
func (s *Files) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for s.recent.Len() > 0 {
		s.evict(s.recent.Back().Value.(*File))
	}
	return nil
}

// CloseIdle closes the files that nobody uses, and those in use after their last use. They are opened again when they are asked for.
func (s *Files) CloseIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.recent.Len() > 0 {
		s.evict(s.recent.Back().Value.(*File))
	}
	s.open = make(map[string]*File) // a map does not shrink
}

func (s *Files) lookup(path string) *File {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.open[path]
	if f != nil {
		f.users++
		s.recent.MoveToFront(f.elem)
	}
	return f
}

// current reports whether the path still leads to the file: a purge replaces it.
func (s *Files) current(f *File) bool {
	st, err := s.cfg.FS.Stat(f.Path())
	return err == nil && st.SameFile(f.info)
}

// keep makes f one of the open files, used by its opener. On an error f is closed.
func (s *Files) keep(f *File) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.users = 1
	if s.closed {
		s.unuse(f)
		return ErrClosed
	}
	if old := s.open[f.Path()]; old != nil { // opened by another goroutine meanwhile
		s.evict(old)
	}
	f.users++
	f.elem = s.recent.PushFront(f)
	s.open[f.Path()] = f
	for s.recent.Len() > s.cfg.MaxOpenFiles {
		s.evict(s.recent.Back().Value.(*File))
	}
	return nil
}

// drop takes f out of the open files, if it is still there.
func (s *Files) drop(f *File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.elem != nil {
		s.evict(f)
	}
}

// evict takes f out of the open files. s.mu is held.
func (s *Files) evict(f *File) {
	s.recent.Remove(f.elem)
	f.elem = nil
	delete(s.open, f.Path())
	s.unuse(f)
}

// unuse takes one user away; after the last, f is closed and its blocks are gone. s.mu is held.
func (s *Files) unuse(f *File) {
	if f.users--; f.users > 0 {
		return
	}
	for _, b := range f.blocks {
		s.removeBlock(b)
	}
	f.file.Close() // it was only read: nothing is lost by an error
}

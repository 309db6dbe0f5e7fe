package cache

import (
	"container/list"
	"io"
	"sync"

	"github.com/roostmail/roost/mdbox/vfs"
)

// File is an open cache file. It is safe for concurrent use; its Readers are not.
type File struct {
	files  *Files
	file   vfs.File
	info   vfs.Info // when it was opened; only the identity is used
	header Header   // when it was opened; only the identity is used

	// Guarded by files.mu.
	users  int // openers, plus 1 while in Files.open
	elem   *list.Element
	blocks map[uint32]*block

	mu     sync.Mutex
	fields []Field // of the newest table that was read; replaced, never changed
	idle   *Reader // the one that was released last; nil: it is in use, or there was none
}

// Path returns the path the file was opened with.
func (f *File) Path() string { return f.file.Name() }

// Close ends the use of f by its opener. Readers of f must not be used any more.
func (f *File) Close() error {
	f.files.mu.Lock()
	defer f.files.mu.Unlock()
	f.files.unuse(f)
	return nil
}

// openFile opens and checks a cache file. Nobody else knows it yet.
func (s *Files) openFile(path string) (*File, error) {
	v, err := s.cfg.FS.Open(path)
	if err != nil {
		return nil, err
	}
	f := &File{files: s, file: v, blocks: make(map[uint32]*block)}
	if f.info, err = v.Stat(); err == nil {
		f.header, err = f.readHeader()
	}
	if err == nil {
		err = f.refreshFields()
	}
	if err != nil {
		v.Close()
		return nil, err
	}
	return f, nil
}

func (f *File) readHeader() (Header, error) { return readHeader(f.file) }

func readHeader(f vfs.File) (Header, error) {
	var buf [HeaderSize]byte
	n, err := f.ReadAt(buf[:], 0)
	if err != nil && err != io.EOF {
		return Header{}, err
	}
	h, err := DecodeHeader(buf[:n])
	return h, vfs.At(err, f.Name(), 0)
}

// Fields returns the fields of the newest table that was read, by field number. Their decisions are those of that
// time, see ReadFields. The caller must not change them.
func (f *File) Fields() []Field {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fields
}

// ReadFields reads the newest field table, with the decisions that stand in it now, and returns its fields as Fields does.
func (f *File) ReadFields() ([]Field, error) {
	if err := f.refreshFields(); err != nil {
		return nil, err
	}
	return f.Fields(), nil
}

// refreshFields reads the newest field table.
func (f *File) refreshFields() error {
	h, err := f.readHeader()
	if err != nil {
		return err
	}
	var newest []Field
	_, err = WalkTables(f.file, h, func(_ uint32, t FieldTable) { newest = t.Fields })
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fields = newest
	return nil
}

// WalkTables calls visit for each field table of a cache file, oldest first. It
// returns their number, and a *vfs.CorruptError if the chain is broken.
func WalkTables(file vfs.File, h Header, visit func(off uint32, t FieldTable)) (n int, err error) {
	var prev uint32
	for off := h.FirstTable; off != 0; n++ {
		if off <= prev || off < HeaderSize {
			return n, vfs.At(vfs.Corrupt(int64(prev), "field table lies behind the one before"), file.Name(), 0)
		}
		t, err := readTable(file, off)
		if err != nil {
			return n, err
		}
		visit(off, t)
		prev, off = off, t.Next
	}
	return n, nil
}

func readTable(file vfs.File, off uint32) (FieldTable, error) {
	buf := make([]byte, 4096)
	for {
		n, err := file.ReadAt(buf, int64(off))
		if err != nil && err != io.EOF {
			return FieldTable{}, err
		}
		size, err := tableSize(buf[:n])
		if err == nil && size > len(buf) {
			buf = make([]byte, size)
			continue
		}
		if err != nil {
			return FieldTable{}, vfs.At(err, file.Name(), int64(off))
		}
		t, _, err := DecodeFieldTable(buf[:n])
		return t, vfs.At(err, file.Name(), int64(off))
	}
}

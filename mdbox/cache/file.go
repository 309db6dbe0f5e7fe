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
		f.header, err = f.refreshFields()
	}
	if err != nil {
		v.Close()
		return nil, err
	}
	return f, nil
}

// window reads the header and the tables of a cache file, which mostly lie together at its beginning.
type window struct {
	file vfs.File
	at   int64 // where b begins in the file
	b    []byte
}

// headWindow is how much is read at once, in bytes: enough for the tables of usual files.
const headWindow = 4096

// from returns what is at off: at least n bytes, or all up to the end of the file. It is valid until the next call.
func (w *window) from(off int64, n int) ([]byte, error) {
	if skip := off - w.at; skip >= 0 && skip+int64(n) <= int64(len(w.b)) {
		return w.b[skip:], nil
	}
	w.at = off
	if size := max(n, headWindow); cap(w.b) < size {
		w.b = make([]byte, size)
	}
	w.b = w.b[:cap(w.b)]
	got, err := w.file.ReadAt(w.b, off)
	w.b = w.b[:got]
	if err == io.EOF {
		err = nil
	}
	return w.b, err
}

func (w *window) header() (Header, error) {
	b, err := w.from(0, HeaderSize)
	if err != nil {
		return Header{}, err
	}
	h, err := DecodeHeader(b[:min(len(b), HeaderSize)])
	return h, vfs.At(err, w.file.Name(), 0)
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
	if _, err := f.refreshFields(); err != nil {
		return nil, err
	}
	return f.Fields(), nil
}

// refreshFields reads the header and the newest field table.
func (f *File) refreshFields() (Header, error) {
	w := &window{file: f.file}
	h, err := w.header()
	if err != nil {
		return h, err
	}
	var newest []Field
	if _, err := w.tables(h, func(_ uint32, t FieldTable) { newest = t.Fields }); err != nil {
		return h, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fields = newest
	return h, nil
}

// WalkTables calls visit for each field table of a cache file, oldest first. It
// returns their number, and a *vfs.CorruptError if the chain is broken.
func WalkTables(file vfs.File, h Header, visit func(off uint32, t FieldTable)) (n int, err error) {
	return (&window{file: file}).tables(h, visit)
}

func (w *window) tables(h Header, visit func(off uint32, t FieldTable)) (n int, err error) {
	var prev uint32
	for off := h.FirstTable; off != 0; n++ {
		if off <= prev || off < HeaderSize {
			return n, vfs.At(vfs.Corrupt(int64(prev), "field table lies behind the one before"), w.file.Name(), 0)
		}
		t, err := w.table(int64(off))
		if err != nil {
			return n, err
		}
		visit(off, t)
		prev, off = off, t.Next
	}
	return n, nil
}

func (w *window) table(off int64) (FieldTable, error) {
	b, err := w.from(off, tableHeaderSize)
	if err != nil {
		return FieldTable{}, err
	}
	size, err := tableSize(b)
	if err == nil && size > len(b) {
		if b, err = w.from(off, size); err != nil {
			return FieldTable{}, err
		}
	}
	if err != nil {
		return FieldTable{}, vfs.At(err, w.file.Name(), off)
	}
	t, _, err := DecodeFieldTable(b)
	return t, vfs.At(err, w.file.Name(), off)
}

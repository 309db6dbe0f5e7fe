package cache

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/roostmail/roost/mdbox/vfs"
)

func FuzzFieldTable(f *testing.F) {
	f.Add(sampleTable.Append(nil))
	f.Add(FieldTable{Fields: testFields}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		table, n, err := DecodeFieldTable(b)
		if err != nil {
			return
		}
		again, m, err := DecodeFieldTable(table.Append(nil))
		if err != nil || m > n || !cmp.Equal(table, again) {
			t.Fatalf("%+v is written so that it reads %+v, %d bytes, %v", table, again, m, err)
		}
	})
}

func FuzzOccurrences(f *testing.F) {
	f.Add([]byte("\x02\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00X-A: 1\n folded\nX-A: 2\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		occ, err := AppendOccurrences(nil, b)
		if err == nil && len(occ) > 0 && !bytes.Equal(AppendHeaderValue(nil, occ), b) {
			t.Fatalf("%q is written as %q", b, AppendHeaderValue(nil, occ))
		}
	})
}

func FuzzParts(f *testing.F) {
	f.Add(AppendPartsValue(nil, sampleParts))
	f.Add(AppendPartsValue(nil, sampleParts[3:]))
	f.Fuzz(func(t *testing.T, b []byte) {
		parts, err := AppendParts(nil, b)
		if err == nil && !bytes.Equal(AppendPartsValue(nil, parts), b) {
			t.Fatalf("%x is written as %x", b, AppendPartsValue(nil, parts))
		}
	})
}

func FuzzBinaryParts(f *testing.F) {
	f.Add([]byte{0, 0xac, 2, 5, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		parts, err := AppendBinaryParts(nil, b)
		if err != nil {
			return
		}
		again, err := AppendBinaryParts(nil, AppendBinaryPartsValue(nil, parts))
		if err != nil || !cmp.Equal(parts, again) {
			t.Fatalf("%v is written so that it reads %v, %v", parts, again, err)
		}
	})
}

// memFS has one file.
type memFS struct {
	vfs.NoWrites
	b []byte
}

func (m memFS) Open(string) (vfs.File, error)             { return memFile{bytes.NewReader(m.b)}, nil }
func (m memFS) Stat(string) (vfs.Info, error)             { return vfs.Info{Size: int64(len(m.b))}, nil }
func (m memFS) ReadDir(string) ([]fs.DirEntry, error)     { return nil, fs.ErrNotExist }
func (m memFile) Name() string                            { return "mem" }
func (m memFile) Close() error                            { return nil }
func (m memFile) Stat() (vfs.Info, error)                 { return vfs.Info{Size: m.r.Size()}, nil }
func (m memFile) ReadAt(p []byte, off int64) (int, error) { return m.r.ReadAt(p, off) }

type memFile struct{ r *bytes.Reader }

// FuzzFile reads a whole file with every offset as a record: nothing panics, and
// whatever fails is corruption.
func FuzzFile(f *testing.F) {
	c := newBuilder(testFields...)
	older := c.record(0, Value{tFlags, le32(PlainBody)}, Value{tParts, AppendPartsValue(nil, sampleParts)})
	c.record(older, Value{tFrom, header(Occurrence{2, []byte("From: a\n")})}, Value{tGUID, []byte("abc")}, Value{tSnippet, []byte("1x")})
	c.grow(Field{Name: "hdr.to", Type: HeaderOf, Size: VariableSize})
	f.Add(c.b)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := DecodeHeader(b)
		if err != nil {
			return
		}
		files := NewFiles(Config{FS: memFS{b: b}})
		defer files.Close()
		file, err := files.Open("mem", h.IndexID, h.FileSeq)
		if err != nil {
			return
		}
		defer file.Close()
		r, sparse := file.NewReader("From", "To"), file.NewSparseReader("From", "To")
		for off := range uint32(min(len(b), 4096)) {
			err := r.Load(off)
			if other := sparse.Load(off); (err == nil) != (other == nil) || !slices.EqualFunc(r.values, sparse.values, bytes.Equal) && err == nil {
				t.Fatalf("offset %d: %v, sparsely %v", off, err, other)
			}
			if err != nil {
				var c *vfs.CorruptError
				if !errors.As(err, &c) && !errors.Is(err, io.EOF) {
					t.Fatalf("offset %d: %v", off, err)
				}
				continue
			}
			r.Flags()
			r.SentDate()
			r.ReceivedDate()
			r.VirtualSize()
			r.Snippet()
			r.AppendBodyStructure(nil)
			if parts, ok, err := r.Parts(); ok && (err != nil || len(parts) == 0) {
				t.Fatalf("offset %d: %d parts, %v", off, len(parts), err)
			}
			if parts, ok, err := r.BinaryParts(); !ok && len(parts) > 0 || ok && err != nil {
				t.Fatalf("offset %d: %d binary parts, %v", off, len(parts), err)
			}
			if out, found, _ := r.AppendHeaders([]byte("x")); !found && string(out) != "x" {
				t.Fatalf("offset %d: not found, but %q", off, out)
			}
		}
	})
}

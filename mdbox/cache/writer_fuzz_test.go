package cache

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/roostmail/roost/mdbox/vfs"
)

// FuzzWriter makes values of a byte string, appends them in two records, and purges: each time, everything reads back.
func FuzzWriter(f *testing.F) {
	f.Add([]byte("\x00\x04\x20\x00\x00\x00\x0f\x05hello\x10\x00\x0b\x03abc"))
	f.Add([]byte("\x10\x01a\x11\x02bb\x12\x03ccc"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := newWriteConfig(vfs.OS)
		c.Policy = Policy{}
		path := filepath.Join(t.TempDir(), "c")
		seq, err := c.Create(path, Identity{IndexID: 1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		id := Identity{IndexID: 1, ResetID: seq}
		values := fuzzValues(b)
		w, err := c.Open(context.Background(), path, id)
		if err != nil {
			t.Fatal(err)
		}
		half := len(values) / 2
		off, err := w.Append(0, values[:half])
		if err != nil {
			t.Fatal(err)
		}
		if off, err = w.Append(off, values[half:]); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		compare := func() {
			t.Helper()
			got, err := openRead(t, path, id).NewReader().AppendValues(nil, off)
			if err != nil {
				t.Fatal(err)
			}
			byName := cmpopts.SortSlices(func(a, b FieldValue) bool { return a.Field < b.Field })
			if d := cmp.Diff(values, got, byName, cmpopts.EquateEmpty()); d != "" {
				t.Fatal(d)
			}
		}
		compare()
		r, err := c.Purge(context.Background(), path, PurgeInput{Identity: id, UIDs: []uint32{1}, Offsets: []uint32{off}})
		if err != nil || r.Damage != nil {
			t.Fatal(err, r.Damage)
		}
		id.ResetID, off = r.FileSeq, r.Offsets[0]
		compare()
	})
}

// fuzzValues makes values of distinct fields: a field number, for those without a size of their own a length, and the data.
func fuzzValues(b []byte) (values []FieldValue) {
	seen := map[byte]bool{}
	for len(b) > 1 {
		n, b2 := b[0]%20, b[1:]
		f := Field{Name: "hdr.X" + string('a'+rune(n)), Type: HeaderOf, Size: VariableSize}
		if int(n) < len(registered) {
			f = registered[n].field()
		}
		size := int(f.Size)
		if !f.fixed() {
			size, b2 = int(b2[0]), b2[1:]
		}
		if size > len(b2) || seen[n] {
			return values
		}
		seen[n] = true
		values = append(values, FieldValue{f.Name, bytes.Clone(b2[:size])})
		b = b2[size:]
	}
	return values
}

// textParser has the text of a message as its structure.
type textParser struct{}

func (textParser) ParseHeader([]byte, Want) (v HeaderValues) { return v }

func (textParser) ParseMessage(stored []byte, _ Want) MessageValues {
	return MessageValues{BodyStructure: append([]byte{}, stored...)} // never nil: it was parsed
}

// FuzzDescriber writes a message in one piece and in small ones: the values are the same, those of the parser of the whole message as it is stored, and
// header values can be read.
func FuzzDescriber(f *testing.F) {
	f.Add([]byte("From: a\r\nSubject: b\r\n folded\r\nSUBJECT : c\r\n\r\nbody\r\n"), uint8(3))
	f.Add([]byte("Subject: a\n\r\n\r\r\nx\r"), uint8(1))
	f.Add([]byte("\r\nx\n\ny"), uint8(2))
	f.Fuzz(func(t *testing.T, msg []byte, piece uint8) {
		p := DefaultPolicy()
		for _, stored := range []bool{false, true} {
			o := DescribeOptions{Fields: []string{"flags", "hdr.subject", "hdr.X-A", "size.virtual", "size.physical", "imap.bodystructure"}, Policy: &p, Parser: textParser{}, MaxHeader: 200, MaxMessage: 1000, AsStored: stored}
			whole, pieces := NewDescriber(o), NewDescriber(o)
			whole.Write(msg)
			for rest := msg; len(rest) > 0; {
				n := min(len(rest), int(piece)+1)
				pieces.Write(rest[:n])
				rest = rest[n:]
			}
			if d := cmp.Diff(whole.Values(), pieces.Values()); d != "" {
				t.Fatal(d)
			}
			first := whole.Values()
			if text := whole.Parsed().BodyStructure; (uint64(len(text)) != whole.PhysicalSize()) != (whole.PhysicalSize() > 1000 || whole.noHeader) {
				t.Fatalf("%d bytes of %d were parsed", len(text), whole.PhysicalSize())
			}
			pieces.Release()
			whole.Next(0, 0, uint64(len(msg)+int(piece)))
			whole.Write(msg)
			if d := cmp.Diff(first, whole.Values()); d != "" {
				t.Fatal(d)
			}
			last := whole.Values()
			size := whole.PhysicalSize()
			whole.Release()
			other := NewDescriber(o)
			other.Next(0, 0, 1)
			other.Write(bytes.Repeat([]byte("X-A: other\r\n"), 10))
			if d := cmp.Diff(first, last); d != "" || len(other.Values()) == 0 {
				t.Fatal("after others: ", d)
			}
			whole = NewDescriber(o)
			whole.Next(0, 0, 0)
			whole.Write(msg)
			if d := cmp.Diff(first, whole.Values()); d != "" || whole.PhysicalSize() != size {
				t.Fatal(d)
			}
			if stored && whole.PhysicalSize() != uint64(len(msg)) || whole.VirtualSize() < whole.PhysicalSize() {
				t.Fatalf("%d bytes have the sizes %d, %d", len(msg), whole.PhysicalSize(), whole.VirtualSize())
			}
			for _, v := range whole.Values() {
				if name, isHeader := headerName(v.Field); isHeader {
					occ, err := AppendOccurrences(nil, v.Data)
					if err != nil {
						t.Fatalf("%s: %v in %q", name, err, v.Data)
					}
					for _, x := range occ {
						if !equalName(fieldName(x.Text), name) {
							t.Fatalf("%s: %q", name, x.Text)
						}
					}
				}
			}
		}
	})
}

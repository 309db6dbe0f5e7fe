package dbox_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mapindex"
	"github.com/roostmail/roost/mdbox/mdboxtest"
)

// openGolden returns the mail files of a golden store.
func openGolden(t testing.TB, s *mdboxtest.Store) *dbox.Files {
	t.Helper()
	files := dbox.NewFiles(dbox.Config{
		StorageDir:    s.Storage(),
		AltDir:        filepath.Join(s.Alt, "storage"),
		AttachmentDir: s.Attachments,
		MaxOpenFiles:  2,
	})
	t.Cleanup(func() { files.Close() })
	return files
}

// eachMail calls do for every message that Dovecot says is in the store, with
// the place that mailbox index and map give for it.
func eachMail(t *testing.T, s *mdboxtest.Store, do func(t *testing.T, ref dbox.Ref, want mdboxtest.ExpectedMail)) {
	t.Helper()
	m, err := mapindex.Open(s.Storage(), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, box := range s.Expected.Mailboxes {
		if len(box.Mails) == 0 {
			continue
		}
		x, err := index.Open(index.Options{Dir: s.Mailbox(name)})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range box.Mails {
			i, ok := x.State().Find(want.UID)
			if !ok {
				t.Fatalf("%s: no message with UID %d", name, want.UID)
			}
			rec, err := index.DecodeMdboxRecord(x.State().Ext("mdbox").Record(i))
			if err != nil {
				t.Fatal(err)
			}
			e, found, err := m.Lookup(mapindex.UID(rec.MapUID))
			if err != nil || !found {
				t.Fatalf("%s: UID %d: map UID %d: found %v, %v", name, want.UID, rec.MapUID, found, err)
			}
			do(t, dbox.Ref{File: dbox.FileID(e.FileID), Offset: e.Offset, Size: e.Size}, want)
		}
	}
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func readAll(t *testing.T, m *dbox.Message, offset, length uint64) []byte {
	t.Helper()
	r, err := m.NewReader(offset, length)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n := r.Len()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if uint64(len(b)) != n {
		t.Errorf("Len promised %d bytes, %d came", n, len(b))
	}
	return b
}

func TestGoldenMessages(t *testing.T) {
	stored := map[string]dbox.Compression{"gz": dbox.Gzip, "bz2": dbox.Bzip2, "lz4": dbox.LZ4, "zstd": dbox.Zstd}
	for _, name := range mdboxtest.GoldenNames(t) {
		t.Run(name, func(t *testing.T) {
			s := mdboxtest.Golden(t, name)
			files := openGolden(t, s)
			attachments := 0
			eachMail(t, s, func(t *testing.T, ref dbox.Ref, want mdboxtest.ExpectedMail) {
				m, err := files.Open(ref)
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				checkMessage(t, m, want)
				attachments += len(m.Attachments())
				if c := stored[filepath.Base(name)]; m.Compression() != c {
					t.Errorf("UID %d is stored as %v, want %v", want.UID, m.Compression(), c)
				}
			})
			if strings.HasSuffix(name, "attach") != (attachments > 0) {
				t.Errorf("%d attachments were put back", attachments)
			}
		})
	}
}

func checkMessage(t *testing.T, m *dbox.Message, want mdboxtest.ExpectedMail) {
	t.Helper()
	received, err := m.Received()
	if err != nil || received != want.Received {
		t.Errorf("UID %d: received %d, %v; want %d", want.UID, received, err, want.Received)
	}
	virtual, err := m.VirtualSize()
	if err != nil || virtual != want.SizeVirtual {
		t.Errorf("UID %d: virtual size %d, %v; want %d", want.UID, virtual, err, want.SizeVirtual)
	}
	if m.PhysicalSize() != want.SizePhysical {
		t.Errorf("UID %d: physical size %d, want %d", want.UID, m.PhysicalSize(), want.SizePhysical)
	}
	if string(m.GUID()) != want.GUID {
		t.Errorf("UID %d: GUID %s, want %s", want.UID, m.GUID(), want.GUID)
	}
	full := readAll(t, m, 0, 0)
	if sum(full) != want.SHA256 {
		t.Errorf("UID %d: BODY[] differs from Dovecot's", want.UID)
	}
	header, err := m.AppendHeader([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	header = header[1:]
	if text, ok := bytes.CutPrefix(full, header); !ok || sum(text) != want.SHA256Body {
		t.Errorf("UID %d: BODY[TEXT] behind a header of %d bytes differs from Dovecot's", want.UID, len(header))
	}
	rnd := rand.New(rand.NewSource(int64(want.UID)))
	for range 20 {
		from := rnd.Intn(len(full) + 1)
		n := rnd.Intn(len(full)-from+10) + 1
		if got := readAll(t, m, uint64(from), uint64(n)); !bytes.Equal(got, full[from:min(len(full), from+n)]) {
			t.Errorf("UID %d: range %d, %d differs", want.UID, from, n)
		}
	}
	if got := readAll(t, m, uint64(len(full)+5), 3); len(got) != 0 {
		t.Errorf("UID %d: %d bytes behind the end", want.UID, len(got))
	}
}

func TestScanFindsEveryGoldenMessage(t *testing.T) {
	for _, name := range mdboxtest.GoldenNames(t) {
		t.Run(name, func(t *testing.T) {
			s := mdboxtest.Golden(t, name)
			found := map[dbox.Ref]bool{}
			for _, dir := range []string{s.Storage(), filepath.Join(s.Alt, "storage")} {
				scanDir(t, dir, found)
			}
			eachMail(t, s, func(t *testing.T, ref dbox.Ref, want mdboxtest.ExpectedMail) {
				if !found[ref] {
					t.Errorf("UID %d at %+v is not found", want.UID, ref)
				}
			})
		})
	}
}

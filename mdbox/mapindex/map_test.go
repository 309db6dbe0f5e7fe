package mapindex_test

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mapindex"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/vfs"
)

func open(t *testing.T, storage string) *mapindex.Map {
	t.Helper()
	m, err := mapindex.Open(storage, index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Index().State().Check(); err != nil {
		t.Fatal(err)
	}
	return m
}

// Each message of each mailbox is in the map with the references that Dovecot
// counts, at a place where a message of its size begins, and the sum of the
// references is the number of messages.
func TestGoldenMaps(t *testing.T) {
	for _, name := range mdboxtest.GoldenNames(t) {
		t.Run(name, func(t *testing.T) {
			store := mdboxtest.Golden(t, name)
			m := open(t, store.Storage())
			total := 0
			for box, want := range store.Expected.Mailboxes {
				if want.NoSelect {
					continue
				}
				x, err := index.Open(index.Options{Dir: store.Mailbox(box)})
				if err != nil {
					t.Fatal(err)
				}
				total += len(want.Mails)
				checkMailbox(t, store, m, x.State(), want)
			}
			sum := 0
			m.All(func(uid mapindex.UID, e mapindex.Entry, err error) bool {
				if err != nil || e.FileID > m.Header().HighestFileID {
					t.Errorf("map UID %d: %+v, %v, highest file_id %d", uid, e, err, m.Header().HighestFileID)
				}
				sum += int(e.Refcount)
				return true
			})
			if sum != total {
				t.Errorf("%d references, want %d, the number of messages", sum, total)
			}
			if s := m.Index().State(); s.Tail() != s.Pos() {
				t.Errorf("tail %v, head %v: they are one unless a writer crashed", s.Tail(), s.Pos())
			}
			if d, _ := m.Index().Damage(); len(d) > 0 {
				t.Errorf("damage: %v", d)
			}
		})
	}
}

func checkMailbox(t *testing.T, store *mdboxtest.Store, m *mapindex.Map, s *index.State, want *mdboxtest.ExpectedMailbox) {
	t.Helper()
	hdr, err := index.DecodeMdboxHeader(s.Ext(index.ExtMdboxHeader).Header())
	if err != nil || hdr.MapUIDValidity != m.UIDValidity() {
		t.Errorf("%s: mdbox-hdr %+v, %v, the map has uid_validity %d", want.Name, hdr, err, m.UIDValidity())
	}
	for i, mail := range want.Mails {
		rec, err := index.DecodeMdboxRecord(s.Ext(index.ExtMdbox).Record(i))
		if err != nil {
			t.Fatal(err)
		}
		e, found, err := m.Lookup(mapindex.UID(rec.MapUID))
		if !found || err != nil || e.Refcount != mail.Refcount {
			t.Errorf("%s, UID %d: %+v, %v, %v, want refcount %d", want.Name, mail.UID, e, found, err, mail.Refcount)
			continue
		}
		if body := store.ReadStored(t, e.FileID, int64(e.Offset), int64(e.Size)); string(body[:3]) != "\x01\x02N" || body[len(body)-1] != '\n' {
			t.Errorf("%s, UID %d: %+v is not where a message is: %s", want.Name, mail.UID, e, hex.EncodeToString(body[:min(32, len(body))]))
		}
	}
}

func TestLookupOfWhatIsNotThere(t *testing.T) {
	m := open(t, mdboxtest.Golden(t, "dovecot-2.3/small").Storage())
	for _, uid := range []mapindex.UID{0, 1 << 31} {
		if e, found, err := m.Lookup(uid); found || err != nil {
			t.Errorf("Lookup(%d) = %+v, %v, %v", uid, e, found, err)
		}
	}
	if _, err := mapindex.Open(t.TempDir(), index.Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open without map: %v, want fs.ErrNotExist", err)
	}
}

// A record with file_id 0 concerns that message only.
func TestDamagedRecord(t *testing.T) {
	store := mdboxtest.Golden(t, "dovecot-2.3/fresh")
	path := filepath.Join(store.Storage(), mapindex.Prefix)
	s := open(t, store.Storage()).Index().State()
	e := s.Ext("map")
	clear(e.Record(1)[:4])
	if err := os.WriteFile(path, s.AppendSnapshot(nil), 0o600); err != nil {
		t.Fatal(err)
	}
	m := open(t, store.Storage())
	var corrupt *vfs.CorruptError
	if _, found, err := m.Lookup(mapindex.UID(s.UIDs()[1])); !found || !errors.As(err, &corrupt) || corrupt.File != path {
		t.Errorf("Lookup of the damaged record: %v, %v, want a CorruptError for %s", found, err, path)
	}
	if _, found, err := m.Lookup(mapindex.UID(s.UIDs()[0])); !found || err != nil {
		t.Errorf("Lookup of another: %v, %v", found, err)
	}
}

func TestRefreshSeesASave(t *testing.T) {
	store := mdboxtest.MakeStore(t, "--content", "fresh")
	m := open(t, store.Storage())
	n := m.Len()
	store.IMAP(t, "APPEND INBOX {12+}\r\nSubject: x\r\n", "SELECT INBOX", "UID COPY 4 INBOX")
	changed, err := m.Refresh()
	if !changed || err != nil || m.Len() != n+1 {
		t.Fatalf("Refresh: %v, %v, %d messages, want %d", changed, err, m.Len(), n+1)
	}
	if e, found, err := m.Lookup(mapindex.UID(m.Index().State().NextUID() - 1)); !found || err != nil || e.Refcount != 2 {
		t.Errorf("the new message: %+v, %v, %v, want refcount 2", e, found, err)
	}
}

func TestCodecs(t *testing.T) {
	h := mapindex.Header{HighestFileID: 4, RebuildCount: 1 << 24}
	l := mapindex.Location{FileID: 4, Offset: 30440, Size: 1847}
	for name, c := range map[string]struct {
		enc  []byte
		want string
		dec  func([]byte) (any, error)
		v    any
	}{
		"map header": {h.Append(nil), "0400000000000001", func(b []byte) (any, error) { return mapindex.DecodeHeader(b) }, h},
		"map record": {l.Append(nil), "04000000e876000037070000", func(b []byte) (any, error) { return mapindex.DecodeLocation(b) }, l},
		"refcount":   {mapindex.AppendRefcount(nil, 0x102), "0201", func(b []byte) (any, error) { return mapindex.DecodeRefcount(b) }, uint16(0x102)},
	} {
		if got := hex.EncodeToString(c.enc); got != c.want {
			t.Errorf("%s: encoded %s, want %s", name, got, c.want)
		}
		if got, err := c.dec(c.enc); err != nil || !cmp.Equal(got, c.v) {
			t.Errorf("%s: decoded %+v, %v, want %+v", name, got, err, c.v)
		}
		var corrupt *vfs.CorruptError
		if _, err := c.dec(c.enc[1:]); !errors.As(err, &corrupt) {
			t.Errorf("%s cut off: %v, want a CorruptError", name, err)
		}
	}
	var corrupt *vfs.CorruptError
	if _, err := mapindex.DecodeLocation(make([]byte, 12)); !errors.As(err, &corrupt) {
		t.Errorf("file_id 0: %v, want a CorruptError", err)
	}
}

func FuzzCodecs(f *testing.F) {
	f.Add(make([]byte, 2))
	f.Add(make([]byte, 8))
	f.Add([]byte("\x04\x00\x00\x00\xe8\x76\x00\x00\x37\x07\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := mapindex.DecodeHeader(b); err == nil && string(v.Append(nil)) != string(b) {
			t.Errorf("header %x", b)
		}
		if v, err := mapindex.DecodeLocation(b); err == nil && string(v.Append(nil)) != string(b) {
			t.Errorf("location %x", b)
		}
		if v, err := mapindex.DecodeRefcount(b); err == nil && string(mapindex.AppendRefcount(nil, v)) != string(b) {
			t.Errorf("refcount %x", b)
		}
	})
}

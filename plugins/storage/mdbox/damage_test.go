package mdbox

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/vfs"
)

// damages are ways to damage the bytes of a file.
var damages = []struct {
	name string
	make func(rnd *rand.Rand, b []byte) []byte
}{
	{"truncated", func(rnd *rand.Rand, b []byte) []byte { return b[:rnd.IntN(len(b))] }},
	{"a zeroed range", func(rnd *rand.Rand, b []byte) []byte {
		from := rnd.IntN(len(b))
		clear(b[from:min(len(b), from+1+rnd.IntN(64))])
		return b
	}},
	{"a flipped bit", func(rnd *rand.Rand, b []byte) []byte {
		b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
		return b
	}},
	{"a changed number", func(rnd *rand.Rand, b []byte) []byte {
		if i := rnd.IntN(len(b)) &^ 3; i+4 <= len(b) {
			copy(b[i:], [][]byte{{0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 0x80}, {1, 0, 0, 0}, {0x80, 0x80, 0x80, 0x80}}[rnd.IntN(4)])
		}
		return b
	}},
	{"random bytes at the end", func(rnd *rand.Rand, b []byte) []byte {
		for range 1 + rnd.IntN(100) {
			b = append(b, byte(rnd.Uint32()))
		}
		return b
	}},
	{"empty", func(*rand.Rand, []byte) []byte { return nil }},
}

// TestDamage damages each file of a store in many ways. There must be no panic;
// every message that is served must be the one that its GUID says; what is
// not served must have an error that names a file; and what the damaged file has nothing to do with must all be there.
func TestDamage(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	for _, c := range []struct {
		store, file string
		text        bool // the file holds message text that has no checksum
	}{
		{"dovecot-2.3/small", "mailboxes/INBOX/dbox-Mails/dovecot.index", false},
		{"dovecot-2.3/small", "mailboxes/INBOX/dbox-Mails/dovecot.index.log", false},
		{"dovecot-2.3/small", "mailboxes/INBOX/dbox-Mails/dovecot.index.log.2", false},
		{"dovecot-2.3/small", "mailboxes/INBOX/dbox-Mails/dovecot.index.cache", false},
		{"dovecot-2.3/small", "storage/dovecot.map.index.log", false},
		{"dovecot-2.3/small", "storage/m.2", true},
		{"dovecot-2.3/gz", "storage/m.1", false},
		{"dovecot-2.3/fresh", "mailboxes/INBOX/dbox-Mails/dovecot.index.log", false},
		{"dovecot-2.4/zstd", "storage/dovecot.map.index.log", false},
		{"dovecot-2.3/small", "subscriptions", false},
	} {
		t.Run(c.store+"/"+c.file, func(t *testing.T) {
			store := mdboxtest.Golden(t, c.store)
			d := newDamageCheck(t, store, c.file)
			for _, how := range damages {
				for range 12 {
					if how.name == "empty" {
						d.text = false
					} else {
						d.text = c.text
					}
					d.check(how.name, how.make(rnd, bytes.Clone(d.original)))
				}
			}
			d.remove()
		})
	}
}

// damageCheck checks what the plugin makes of one file's damage.
type damageCheck struct {
	t        *testing.T
	store    *mdboxtest.Store
	path     string
	original []byte
	text     bool
	byGUID   map[string]string // SHA-256 of messages
	damage   string            // what was done
}

func newDamageCheck(t *testing.T, store *mdboxtest.Store, file string) *damageCheck {
	d := &damageCheck{t: t, store: store, path: filepath.Join(store.Root, file), byGUID: map[string]string{}}
	var err error
	if d.original, err = os.ReadFile(d.path); err != nil {
		t.Fatal(err)
	}
	d.readMailFiles()
	return d
}

// readMailFiles notes all messages that are in m.N files, also those that were
// expunged: a cut log may show them again.
func (d *damageCheck) readMailFiles() {
	d.t.Helper()
	files := dbox.NewFiles(dbox.Config{StorageDir: d.store.Storage()})
	defer files.Close()
	paths, err := filepath.Glob(filepath.Join(d.store.Storage(), "m.*"))
	if err != nil || len(paths) == 0 {
		d.t.Fatal(paths, err)
	}
	for _, path := range paths {
		id, err := strconv.ParseUint(strings.TrimPrefix(filepath.Ext(path), "."), 10, 32)
		if err != nil {
			d.t.Fatal(err)
		}
		f, err := vfs.OS.Open(path)
		if err != nil {
			d.t.Fatal(err)
		}
		err = dbox.Scan(f, 1<<20, func(_ dbox.FileHeader, sc *dbox.Scanned) error {
			m, err := files.Open(dbox.Ref{File: dbox.FileID(id), Offset: uint32(sc.Offset)})
			if err != nil {
				return err
			}
			defer m.Close()
			r, err := m.NewReader(0, 0)
			if err != nil {
				return err
			}
			defer r.Close()
			body, err := io.ReadAll(r)
			d.byGUID[string(m.GUID())] = hash(body)
			return err
		})
		f.Close()
		if err != nil {
			d.t.Fatal(err)
		}
	}
}

func (d *damageCheck) check(name string, b []byte) {
	d.t.Helper()
	d.damage = name
	if err := os.WriteFile(d.path, b, 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.readAll()
	if d.t.Failed() {
		keep := filepath.Join(os.TempDir(), "damaged-"+filepath.Base(d.path))
		_ = os.WriteFile(keep, b, 0o600)
		d.t.Fatalf("%s; the damaged file is kept as %s", name, keep)
	}
}

func (d *damageCheck) remove() {
	d.t.Helper()
	d.damage = "removed"
	if err := os.Remove(d.path); err != nil {
		d.t.Fatal(err)
	}
	d.readAll()
}

// readAll reads everything there is in the store, with a plugin that is new to it.
func (d *damageCheck) readAll() {
	d.t.Helper()
	s := New(slog.New(slog.DiscardHandler))
	err := s.Configure(context.Background(), backend.Config{Options: map[string]any{"mail_location": "mdbox:" + d.store.Root}})
	if err != nil {
		d.t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.ListMailboxes(context.Background(), testUser, ""); err != nil {
		d.t.Errorf("list: %v", err)
	}
	for name, box := range d.store.Expected.Mailboxes {
		if box.NoSelect {
			continue
		}
		if _, err := s.Status(context.Background(), testUser, "", []string{name}, ^backend.StatusItems(0)); err != nil {
			d.t.Errorf("%s: status: %v", name, err)
		}
		snap, err := s.Open(context.Background(), ref(name))
		if err != nil {
			d.checkError(name, err)
			continue
		}
		d.fetchAll(s, name, snap.Messages.UIDs)
	}
}

// own reports whether the damaged file belongs to the mailbox, or to all.
func (d *damageCheck) own(name string) bool {
	return strings.Contains(d.path, "/storage/") || strings.Contains(d.path, "/mailboxes/"+name+"/")
}

// checkError checks an error of something that could not be read.
func (d *damageCheck) checkError(name string, err error) {
	d.t.Helper()
	be, ok := err.(*backend.Error)
	if !ok || be.Detail == "" || !strings.Contains(be.Detail, d.store.Root) && be.Kind != backend.KindInUse {
		d.t.Errorf("%s: error without kind or file: %#v", name, err)
	} else if be.Kind != backend.KindCorrupted && be.Kind != backend.KindInUse && be.Kind != backend.KindLimit && be.Kind != backend.KindUnsupported {
		d.t.Errorf("%s: kind %v: %v", name, be.Kind, err)
	}
	if !d.own(name) {
		d.t.Errorf("%s is not readable, though only %s is damaged: %v", name, d.path, err)
	}
}

func (d *damageCheck) fetchAll(s *Storage, name string, uids []uint32) {
	d.t.Helper()
	if len(uids) > 1000 {
		d.t.Errorf("%s: %d messages", name, len(uids))
		return
	}
	r := backend.FetchRequest{Mailbox: ref(name), UIDs: uids, HeaderFields: []string{"Subject", "From"},
		Items: backend.FetchGUID | backend.FetchBody | backend.FetchBodyStructure | backend.FetchSaveDate, Offset: 10, Length: 20}
	c := &collector{t: d.t}
	if err := s.Fetch(context.Background(), &r, c); err != nil {
		d.checkError(name, err)
		return
	}
	r.HeaderFields, r.Offset, r.Length = nil, 0, 0
	c = &collector{t: d.t}
	if err := s.Fetch(context.Background(), &r, c); err != nil {
		d.checkError(name, err)
		return
	}
	served := 0
	for _, m := range c.msgs {
		if m.Err != nil {
			d.checkError(name, m.Err)
			continue
		}
		served++
		if sum, known := d.byGUID[m.GUID]; !d.text && (!known || sum != hash(m.body)) {
			d.t.Errorf("%s: UID %d with GUID %s is not the message with this GUID (known: %v)", name, m.UID, m.GUID, known)
		}
	}
	if want := len(d.store.Expected.Mailboxes[name].Mails); !d.own(name) && served != want {
		d.t.Errorf("%s: %d of %d messages served, though only %s is damaged", name, served, want, d.path)
	}
	if strings.HasSuffix(d.path, ".cache") && served != len(uids) {
		d.t.Errorf("%s: %d of %d messages served without the cache", name, served, len(uids))
	}
}

package mdbox_test

import (
	"path/filepath"
	"testing"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/vfs"
)

// orderFS tells of the lock of a maildir that is taken while the lock of the sum of its sizes is held.
type orderFS struct {
	vfs.FS
	t     *testing.T
	taken *int
}

func (f orderFS) Link(from, name string) error {
	if filepath.Base(name) == "dovecot-uidlist.lock" {
		*f.taken++
		if _, err := f.FS.Stat(filepath.Join(filepath.Dir(name), "dovecot-vsize.lock")); err == nil {
			f.t.Errorf("%s is to be taken with dovecot-vsize.lock held", name)
		}
	}
	return f.FS.Link(from, name)
}

// TestMaildirLockBeforeSizes: Dovecot waits for dovecot-vsize.lock when it has dovecot-uidlist.lock (index_storage_expunged_sync_begin). Who takes
// them the other way round waits for it, and it for him.
func TestMaildirLockBeforeSizes(t *testing.T) {
	d := newMaildir(t, "")
	taken := 0
	s := d.open(t, func(o *mdbox.Options) { o.FS = orderFS{o.FS, t, &taken} })
	a, b := openBox(t, s, "INBOX"), openBox(t, s, "A")
	steps := map[string]func() error{
		"append": func() error {
			_, err := a.Append(t.Context(), []mdbox.NewMessage{newMail("one", 300, 0), newMail("two", 300, 0), newMail("three", 300, 0)})
			return err
		},
		"copy": func() error {
			_, err := a.Copy(t.Context(), mdbox.CopyRequest{UIDs: []uint32{1, 2}, To: b})
			return err
		},
		"move": func() error {
			_, err := a.Copy(t.Context(), mdbox.CopyRequest{UIDs: []uint32{3}, To: b, Move: true})
			return err
		},
		"expunge": func() error {
			_, err := b.Expunge(t.Context(), [16]byte{}, []uint32{1}, false)
			return err
		},
		"count": func() error {
			_, _, err := a.CountSize(t.Context())
			return err
		},
		"count the copies": func() error {
			_, _, err := b.CountSize(t.Context())
			return err
		},
	}
	for _, name := range []string{"append", "copy", "count", "count the copies", "append", "copy", "move", "expunge", "count the copies", "count"} {
		before := taken
		if err := steps[name](); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if name == "append" && taken == before {
			t.Error("APPEND took no lock")
		}
	}
	sameAsDovecot(t, d.Store, a)
	sameAsDovecot(t, d.Store, b)
}

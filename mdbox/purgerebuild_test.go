package mdbox_test

import (
	"context"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mapindex"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/vfs"
)

// syncing does something when an m.N file was synced, once.
type syncing struct {
	vfs.FS
	synced func()
}

func (f *syncing) OpenWrite(name string, how vfs.How, perm fs.FileMode) (vfs.WritableFile, error) {
	file, err := f.FS.OpenWrite(name, how, perm)
	if err != nil || !strings.HasPrefix(filepath.Base(name), "m.") {
		return file, err
	}
	return &syncedFile{file, f}, nil
}

type syncedFile struct {
	vfs.WritableFile
	f *syncing
}

func (s *syncedFile) Sync() error {
	err := s.WritableFile.Sync()
	if do := s.f.synced; do != nil {
		s.f.synced = nil
		do()
	}
	return err
}

// TestPurgeBesideRebuild lets Dovecot rebuild the store when a purge has copied messages to another file, and the map does not know of the copies yet. The
// rebuild finds them, and gives them records: if the purge did so too, the map would have two for the same place, which Dovecot calls damage.
func TestPurgeBesideRebuild(t *testing.T) {
	ctx := context.Background()
	dovecot := mdboxtest.MakeStore(t, "--content", "fresh") // with a message in m.1 that was expunged
	s := writable(t, dovecot.Root, func(w *mdbox.Writing) { w.RotateSize = 2000 })
	if _, err := openBox(t, s, "INBOX").Append(ctx, []mdbox.NewMessage{newMail("other", 1900, 0)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	giveTo(t, dovecot.Root)
	guids := func() string { return dovecot.Doveadm(t, "fetch", "uid guid", "mailbox", "INBOX") }
	before := guids()

	fsys := &syncing{FS: vfs.OS}
	rebuilt := false
	fsys.synced = func() {
		rebuilt = true
		giveTo(t, dovecot.Root)
		dovecot.Doveadm(t, "force-resync", "INBOX")
	}
	p := mdbox.New(testLocation(t, dovecot.Root), mdbox.Options{FS: fsys, Write: &mdbox.Writing{}, Report: func(err error) { t.Error(err) }})
	for range 2 { // the second one does what the first had to leave
		if _, err := p.Purge(ctx, nil); err != nil {
			t.Error(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if !rebuilt {
		t.Fatal("no m.N file was synced")
	}
	m, err := mapindex.Open(dovecot.Storage(), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	at := map[mapindex.Location]mapindex.UID{}
	m.All(func(uid mapindex.UID, e mapindex.Entry, err error) bool {
		if other, twice := at[e.Location]; twice || err != nil {
			t.Errorf("map UIDs %d and %d are both at %+v, %v", other, uid, e.Location, err)
		}
		at[e.Location] = uid
		return true
	})
	giveTo(t, dovecot.Root)
	dovecot.Doveadm(t, "purge") // fails if it finds something wrong
	if after := guids(); after != before {
		t.Errorf("messages\n%s\nwere\n%s", after, before)
	}
}

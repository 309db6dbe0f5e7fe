package check_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/check"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/vfs/crashfs"
)

const crashRoot = "/mail"

func storeIn(t *testing.T, fsys *crashfs.FS) *mdbox.Store {
	t.Helper()
	tmpl, err := mdbox.ParseLocation("mdbox:" + crashRoot)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tmpl.Resolve(mdbox.Vars{}, "/")
	if err != nil {
		t.Fatal(err)
	}
	s := mdbox.New(l, mdbox.Options{FS: fsys, Write: &mdbox.Writing{}})
	return s
}

// crashDamages are damages whose repairs take different ways.
var crashDamages = []struct {
	name string
	do   func(fsys *crashfs.FS, change func(file string, f func(b []byte) []byte))
}{
	{"mailbox log", func(_ *crashfs.FS, change func(string, func([]byte) []byte)) {
		change("mailboxes/INBOX/dbox-Mails/dovecot.index.log", func(b []byte) []byte { clear(b[len(b)/2 : len(b)/2+30]); return b })
	}},
	{"mailbox gone", func(fsys *crashfs.FS, _ func(string, func([]byte) []byte)) {
		for _, f := range fsys.Files() {
			if strings.Contains(f, "/INBOX/dbox-Mails/dovecot.index") {
				fsys.Remove(f)
			}
		}
	}},
	{"map log", func(_ *crashfs.FS, change func(string, func([]byte) []byte)) {
		change("storage/dovecot.map.index.log", func(b []byte) []byte { return b[:len(b)/2] })
	}},
	{"map gone", func(fsys *crashfs.FS, _ func(string, func([]byte) []byte)) {
		for _, f := range fsys.Files() {
			if strings.Contains(f, "dovecot.map.index") {
				fsys.Remove(f)
			}
		}
	}},
	{"mail file", func(fsys *crashfs.FS, change func(string, func([]byte) []byte)) {
		for _, f := range fsys.Files() {
			if strings.HasPrefix(filepath.Base(f), "m.") {
				rel, _ := filepath.Rel(crashRoot, f)
				change(rel, func(b []byte) []byte { clear(b[20:40]); return b })
			}
		}
	}},
	{"all at once", func(fsys *crashfs.FS, change func(string, func([]byte) []byte)) {
		change("mailboxes/INBOX/dbox-Mails/dovecot.index.log", func(b []byte) []byte { clear(b[len(b)/2 : len(b)/2+30]); return b })
		change("storage/dovecot.map.index.log", func(b []byte) []byte { clear(b[:60]); return b })
		for _, f := range fsys.Files() {
			if strings.HasPrefix(filepath.Base(f), "m.") {
				rel, _ := filepath.Rel(crashRoot, f)
				change(rel, func(b []byte) []byte { clear(b[10:40]); return b })
			}
		}
	}},
}

// TestRebuildCrash ends a rebuild at every operation. The next one comes to the end, and nothing is lost that a rebuild without interruption keeps.
func TestRebuildCrash(t *testing.T) {
	for _, d := range crashDamages {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			base := loadOld(t, mdboxtest.Golden(t, "dovecot-2.3/tiny").Root)
			before, _ := read(t, storeIn(t, base.After(crashfs.LoseNothing, 0)))
			d.do(base, func(file string, f func([]byte) []byte) {
				path := crashRoot + "/" + file
				b, err := base.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				base.WriteFile(path, f(append([]byte(nil), b...)), 0o600)
			})
			damaged := base.After(crashfs.LoseNothing, 0)
			want := compare(before, rebuiltContents(t, damaged.After(crashfs.LoseNothing, 0)))
			t.Logf("without interruption: lost %v", want)
			for n := 1; ; n++ {
				fsys := damaged.After(crashfs.LoseNothing, 0)
				s := storeIn(t, fsys)
				fsys.Inject(crashfs.Fault{N: n, What: crashfs.PowerCut})
				_, err := check.Rebuild(context.Background(), s, check.RebuildOptions{FS: fsys})
				hit := fsys.Hit()
				s.Close()
				if !hit {
					if err != nil {
						t.Errorf("without a fault: %v", err)
					}
					t.Logf("%d operations", n-1)
					return
				}
				for _, loss := range []crashfs.Loss{crashfs.LoseNothing, crashfs.LoseUnsynced, crashfs.LoseData, crashfs.LoseNames} {
					after := fsys.After(loss, 0)
					if got := compare(before, rebuiltContents(t, after)); got.messages > want.messages || got.flags > want.flags || got.damaged > want.damaged || got.uids > want.uids {
						t.Fatalf("operation %d, %v: lost %v, want %v\n%s", n, loss, got, want, fsys.TraceString(crashfs.Writes))
					}
				}
			}
		})
	}
}

// rebuiltContents rebuilds the store in fsys and reads it. Then it is in order.
func rebuiltContents(t *testing.T, fsys *crashfs.FS) contents {
	t.Helper()
	s := storeIn(t, fsys)
	r, err := check.Rebuild(context.Background(), s, check.RebuildOptions{FS: fsys})
	s.Close()
	if err != nil {
		t.Fatalf("rebuild: %v\n%v", err, r.Done)
	}
	s = storeIn(t, fsys)
	report, err := check.Verify(context.Background(), s, check.Options{FS: fsys})
	if err != nil {
		t.Fatal(err)
	}
	if !report.Clean() {
		for _, f := range report.Findings {
			t.Error(f)
		}
		t.Fatalf("not clean after the rebuild: found %v\ndid %v", r.Found.Findings, r.Done)
	}
	got, _ := read(t, s)
	s.Close()
	if err := fsys.Check(); err != nil {
		t.Fatal(err)
	}
	return got
}

// loadOld loads a store whose files are so old that lock files in it, left by a crash, are overridden at once.
func loadOld(t *testing.T, root string) *crashfs.FS {
	t.Helper()
	old := time.Now().Add(-time.Hour)
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(path, old, old))
	})
	if err != nil {
		t.Fatal(err)
	}
	fsys := crashfs.New()
	if err := fsys.Load(root, crashRoot); err != nil {
		t.Fatal(err)
	}
	return fsys
}

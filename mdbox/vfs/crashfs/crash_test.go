package crashfs_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox/vfs"
	"github.com/roostmail/roost/mdbox/vfs/crashfs"
)

// must ends the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// create makes a file with content; sync says whether its data becomes durable.
func create(t testing.TB, f *crashfs.FS, name, content string, sync bool) {
	t.Helper()
	h, err := f.OpenWrite(name, vfs.Create|vfs.Exclusive, 0o600)
	must(t, err)
	_, err = h.Write([]byte(content))
	must(t, err)
	if sync {
		must(t, h.Sync())
	}
	must(t, h.Close())
}

// state prints all files with their content.
func state(t testing.TB, f *crashfs.FS) string {
	t.Helper()
	var parts []string
	for _, name := range f.Files() {
		b, err := f.ReadFile(name)
		must(t, err)
		parts = append(parts, name+"="+string(b))
	}
	return strings.Join(parts, " ")
}

// What is left after each loss. LoseSome, over many seeds, must come by exactly the listed states.
func TestLosses(t *testing.T) {
	for _, c := range []struct {
		name                           string
		do                             func(t *testing.T, f *crashfs.FS)
		nothing, unsynced, data, names string
		some                           []string
	}{
		{
			"new file",
			func(t *testing.T, f *crashfs.FS) { create(t, f, "/d/n", "new", false) },
			"/d/n=new /d/o=old", "/d/o=old", "/d/n= /d/o=old", "/d/o=old",
			[]string{"/d/o=old", "/d/n= /d/o=old", "/d/n=\x00\x00\x00 /d/o=old", "/d/n=new /d/o=old"},
		},
		{
			"new file, synced",
			func(t *testing.T, f *crashfs.FS) { create(t, f, "/d/n", "new", true) },
			"/d/n=new /d/o=old", "/d/o=old", "/d/n=new /d/o=old", "/d/o=old",
			[]string{"/d/o=old", "/d/n=new /d/o=old"},
		},
		{
			"new file, directory synced",
			func(t *testing.T, f *crashfs.FS) {
				create(t, f, "/d/n", "new", false)
				must(t, f.SyncDir("/d"))
			},
			"/d/n=new /d/o=old", "/d/n= /d/o=old", "/d/n= /d/o=old", "/d/n=new /d/o=old",
			[]string{"/d/n= /d/o=old", "/d/n=\x00\x00\x00 /d/o=old", "/d/n=new /d/o=old"},
		},
		{
			"new file, all synced",
			func(t *testing.T, f *crashfs.FS) {
				create(t, f, "/d/n", "new", true)
				must(t, f.SyncDir("/d"))
			},
			"/d/n=new /d/o=old", "/d/n=new /d/o=old", "/d/n=new /d/o=old", "/d/n=new /d/o=old",
			[]string{"/d/n=new /d/o=old"},
		},
		{
			"replaced, data synced",
			func(t *testing.T, f *crashfs.FS) {
				create(t, f, "/d/n", "new", true)
				must(t, f.Rename("/d/n", "/d/o"))
			},
			"/d/o=new", "/d/o=old", "/d/o=new", "/d/o=old",
			[]string{"/d/o=old", "/d/n=new /d/o=old", "/d/o=new"},
		},
		{
			"replaced, data not synced",
			func(t *testing.T, f *crashfs.FS) {
				create(t, f, "/d/n", "new", false)
				must(t, f.Rename("/d/n", "/d/o"))
			},
			"/d/o=new", "/d/o=old", "/d/o=", "/d/o=old",
			[]string{"/d/o=old", "/d/n= /d/o=old", "/d/n=\x00\x00\x00 /d/o=old", "/d/n=new /d/o=old", "/d/o=", "/d/o=\x00\x00\x00", "/d/o=new"},
		},
		{
			"moved to another directory, that one synced",
			func(t *testing.T, f *crashfs.FS) {
				create(t, f, "/d/n", "new", true)
				must(t, f.Rename("/d/n", "/e/n"))
				must(t, f.SyncDir("/e"))
			},
			"/d/o=old /e/n=new", "/d/o=old /e/n=new", "/d/o=old /e/n=new", "/d/o=old /e/n=new",
			[]string{"/d/o=old /e/n=new"},
		},
		{
			"moved to another directory, the old one synced",
			func(t *testing.T, f *crashfs.FS) {
				must(t, f.Rename("/d/o", "/e/n"))
				must(t, f.SyncDir("/d"))
			},
			"/e/n=old", "/e/n=old", "/e/n=old", "/e/n=old",
			[]string{"/e/n=old"},
		},
		{
			"moved to another directory, nothing synced",
			func(t *testing.T, f *crashfs.FS) { must(t, f.Rename("/d/o", "/e/n")) },
			"/e/n=old", "/d/o=old", "/e/n=old", "/d/o=old",
			[]string{"/d/o=old", "/e/n=old"},
		},
		{
			"removed",
			func(t *testing.T, f *crashfs.FS) { must(t, f.Remove("/d/o")) },
			"", "/d/o=old", "", "/d/o=old",
			[]string{"", "/d/o=old"},
		},
		{
			"directory made, its file synced in it",
			func(t *testing.T, f *crashfs.FS) {
				must(t, f.Mkdir("/d/s", 0o700))
				create(t, f, "/d/s/n", "new", true)
				must(t, f.SyncDir("/d/s"))
			},
			"/d/o=old /d/s/n=new", "/d/o=old", "/d/o=old /d/s/n=new", "/d/o=old",
			[]string{"/d/o=old", "/d/o=old /d/s/n=new"},
		},
		{
			"linked and replaced, as a log is rotated",
			func(t *testing.T, f *crashfs.FS) {
				create(t, f, "/d/n", "new", true)
				must(t, f.Link("/d/o", "/d/o.2"))
				must(t, f.Rename("/d/n", "/d/o"))
			},
			"/d/o=new /d/o.2=old", "/d/o=old", "/d/o=new /d/o.2=old", "/d/o=old",
			[]string{"/d/o=old", "/d/n=new /d/o=old", "/d/n=new /d/o=old /d/o.2=old", "/d/o=new /d/o.2=old"},
		},
		{
			"two appends",
			func(t *testing.T, f *crashfs.FS) {
				h, err := f.OpenWrite("/d/o", vfs.Append, 0)
				must(t, err)
				for _, s := range []string{"1", "2"} {
					_, err = h.Write([]byte(s))
					must(t, err)
				}
			},
			"/d/o=old12", "/d/o=old", "/d/o=old", "/d/o=old12",
			[]string{"/d/o=old", "/d/o=old1", "/d/o=old12", "/d/o=old\x00", "/d/o=old\x002", "/d/o=old1\x00", "/d/o=old\x00\x00"},
		},
		{
			"truncated, and appended",
			func(t *testing.T, f *crashfs.FS) {
				h, err := f.OpenWrite("/d/o", 0, 0)
				must(t, err)
				must(t, h.Truncate(1))
				_, err = h.WriteAt([]byte("x"), 1)
				must(t, err)
			},
			"/d/o=ox", "/d/o=old", "/d/o=old", "/d/o=ox",
			[]string{"/d/o=old", "/d/o=o", "/d/o=ox", "/d/o=o\x00"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			base := crashfs.New()
			base.WriteFile("/d/o", []byte("old"), 0o600)
			base.MkdirAll("/e", 0o700)
			f := base.After(crashfs.LoseNothing, 0)
			c.do(t, f)
			for loss, want := range map[crashfs.Loss]string{
				crashfs.LoseNothing: c.nothing, crashfs.LoseUnsynced: c.unsynced, crashfs.LoseData: c.data, crashfs.LoseNames: c.names,
			} {
				got := f.After(loss, 0)
				if s := state(t, got); s != want {
					t.Errorf("%v: %q, want %q", loss, s, want)
				}
				// The end of the process first, and the power cut later.
				if s := state(t, f.After(crashfs.LoseNothing, 0).After(loss, 0)); s != want {
					t.Errorf("later, %v: %q, want %q", loss, s, want)
				}
				if loss != crashfs.LoseNothing {
					if s := state(t, got.After(crashfs.LoseUnsynced, 0)); s != want {
						t.Errorf("%v, and once more: %q, want %q", loss, s, want)
					}
				}
			}
			seen := map[string]bool{}
			for seed := range uint64(1000) {
				s := state(t, f.After(crashfs.LoseSome, seed))
				if seed < 100 {
					if again := state(t, f.After(crashfs.LoseSome, seed)); again != s {
						t.Fatalf("seed %d: %q, then %q", seed, s, again)
					}
				}
				seen[s] = true
			}
			got, want := slices.Sorted(maps.Keys(seen)), slices.Sorted(slices.Values(c.some))
			if !slices.Equal(got, want) {
				t.Errorf("lose some: %q\nwant %q", got, want)
			}
			if s := state(t, f); s != c.nothing {
				t.Errorf("the file system itself became %q, was %q", s, c.nothing)
			}
			if s := state(t, base); s != "/d/o=old" {
				t.Errorf("what it was made from became %q", s)
			}
		})
	}
}

// A large write may be torn at each multiple of 512 bytes of the file.
func TestLoseSomeTears(t *testing.T) {
	f := crashfs.New()
	f.WriteFile("/o", bytes.Repeat([]byte("o"), 3000), 0o600)
	h, err := f.OpenWrite("/o", 0, 0)
	must(t, err)
	_, err = h.WriteAt(bytes.Repeat([]byte("n"), 2000), 500)
	must(t, err)
	seen := map[string]bool{}
	for seed := range uint64(300) {
		b, err := f.After(crashfs.LoseSome, seed).ReadFile("/o")
		must(t, err)
		pieces := ""
		for off := 0; off < len(b); {
			end := min((off/512+1)*512, len(b))
			if off < 500 {
				end = 500
			} else if off < 2500 && end > 2500 {
				end = 2500
			}
			if strings.Trim(string(b[off:end]), string(b[off])) != "" {
				t.Fatalf("seed %d: torn between %d and %d", seed, off, end)
			}
			pieces += string(b[off])
			off = end
		}
		if !strings.HasPrefix(pieces, "o") || !strings.HasSuffix(pieces, "oo") {
			t.Fatalf("seed %d: bytes changed that nobody wrote: %s", seed, pieces)
		}
		seen[pieces] = true
	}
	if len(seen) < 20 {
		t.Errorf("only %d different states", len(seen))
	}
}

// Random operations: what was synced is there after every loss, and a file system made by After is independent.
func TestSyncedIsKept(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 100 {
		f := crashfs.New()
		f.MkdirAll("/d", 0o700)
		want := map[string]string{} // by name, what is durable and not touched since
		for i := range 30 {
			name := fmt.Sprintf("/d/%d", rnd.IntN(10))
			switch rnd.IntN(4) {
			case 0, 1:
				delete(want, name)
				h, err := f.OpenWrite(name, vfs.Create|vfs.Append, 0o600)
				must(t, err)
				content := strings.Repeat(fmt.Sprint(i), rnd.IntN(700))
				_, err = h.Write([]byte(content))
				must(t, err)
				if rnd.IntN(2) == 0 {
					must(t, h.Sync())
					must(t, f.SyncDir("/d"))
					b, err := f.ReadFile(name)
					must(t, err)
					want[name] = string(b)
				}
				must(t, h.Close())
			case 2:
				delete(want, name)
				f.Remove(name)
			case 3:
				to := fmt.Sprintf("/d/%d", rnd.IntN(10))
				delete(want, name)
				delete(want, to)
				f.Rename(name, to)
			}
			g := f.After(crashfs.Losses[rnd.IntN(len(crashfs.Losses))], rnd.Uint64())
			for name, content := range want {
				if b, err := g.ReadFile(name); err != nil || string(b) != content {
					t.Fatalf("%s: %d bytes, %v; want %d bytes\n%s", name, len(b), err, len(content), f.TraceString(crashfs.Writes))
				}
			}
			before := state(t, f)
			for _, name := range g.Files() {
				h, err := g.OpenWrite(name, 0, 0)
				must(t, err)
				_, err = h.WriteAt([]byte("of another one"), int64(rnd.IntN(500)))
				must(t, err)
				must(t, h.Truncate(int64(rnd.IntN(500))))
				_, err = h.WriteAt([]byte("of another one"), 400)
				must(t, err)
			}
			if state(t, f) != before {
				t.Fatal("changing one changed the other")
			}
		}
	}
}

func TestAfterHasNothingOpen(t *testing.T) {
	f := crashfs.New()
	f.WriteFile("/a", nil, 0o600)
	h, err := f.OpenWrite("/a", 0, 0)
	must(t, err)
	if ok, err := h.TryLock(vfs.LockFlock); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := f.Check(); err == nil || err.Error() != "/a is left open, and locked" {
		t.Errorf("Check: %v", err)
	}
	g := f.After(crashfs.LoseNothing, 0)
	must(t, g.Check())
	i, err := g.OpenWrite("/a", 0, 0)
	must(t, err)
	if ok, err := i.TryLock(vfs.LockFlock); !ok || err != nil {
		t.Errorf("a lock outlived its process: %v, %v", ok, err)
	}
	a, err := h.Stat()
	must(t, err)
	b, err := i.Stat()
	must(t, err)
	if a.SameFile(b) {
		t.Error("files of two file systems count as the same")
	}
	must(t, h.Close())
	must(t, f.Check())
}

func TestLocksBelongToOpenFiles(t *testing.T) {
	f := crashfs.New()
	f.WriteFile("/a", nil, 0o600)
	open := func() vfs.WritableFile {
		h, err := f.OpenWrite("/a", 0, 0)
		must(t, err)
		return h
	}
	try := func(h vfs.WritableFile, kind vfs.LockKind, want bool) {
		t.Helper()
		if ok, err := h.TryLock(kind); ok != want || err != nil {
			t.Errorf("TryLock: %v, %v; want %v", ok, err, want)
		}
	}
	a, b := open(), open()
	try(a, vfs.LockFcntl, true)
	try(a, vfs.LockFcntl, true)
	try(b, vfs.LockFcntl, false)
	try(b, vfs.LockFlock, true)
	must(t, b.Unlock(vfs.LockFcntl)) // not b's
	try(b, vfs.LockFcntl, false)
	must(t, open().Close())
	try(b, vfs.LockFcntl, false)
	must(t, a.Close())
	try(b, vfs.LockFcntl, true)
}

// A store like that of a user with a few mailboxes.
func BenchmarkAfter(b *testing.B) {
	base := crashfs.New()
	for i := range 10 {
		for _, name := range []string{"dovecot.index", "dovecot.index.log", "dovecot.index.cache", "dovecot.index.log.2"} {
			base.WriteFile(fmt.Sprintf("/mail/mailboxes/%d/dbox-Mails/%s", i, name), make([]byte, 4000), 0o600)
		}
	}
	create(b, base, "/mail/x", strings.Repeat("x", 10000), false)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		base.After(crashfs.LoseSome, uint64(i))
	}
}

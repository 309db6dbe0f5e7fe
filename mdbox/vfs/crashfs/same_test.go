package crashfs_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roostmail/roost/mdbox/vfs"
	"github.com/roostmail/roost/mdbox/vfs/crashfs"
)

// Random operations have the same outcome as on the file system of the machine, after copies too.
func TestSameAsTheMachine(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 30 {
		top := t.TempDir()
		mem := crashfs.New()
		mem.UID, mem.GID = uint32(os.Geteuid()), uint32(os.Getegid())
		mem.MkdirAll(top, 0o755)
		a, b := &player{fs: vfs.OS, top: top}, &player{fs: mem, top: top}
		for step := range 300 {
			seed := rnd.Uint64()
			got, want := b.step(rand.New(rand.NewPCG(seed, 0))), a.step(rand.New(rand.NewPCG(seed, 0)))
			if got != want {
				t.Fatalf("step %d: %s\non the machine: %s\n%s", step, got, want, mem.TraceString(crashfs.All))
			}
			if rnd.IntN(50) == 0 {
				a.closeAll()
				b.closeAll()
				if err := mem.Check(); err != nil {
					t.Fatal(err)
				}
				if got, want := tree(t, mem, top), tree(t, vfs.OS, top); got != want {
					t.Fatalf("step %d: %s", step, cmp.Diff(want, got))
				}
				mem = mem.After(crashfs.LoseNothing, 0)
				b.fs = mem
			}
		}
		a.closeAll()
	}
}

// player does random operations, and tells how they went.
type player struct {
	fs    vfs.FS
	top   string
	files []vfs.WritableFile
}

func (p *player) closeAll() {
	for _, f := range p.files {
		f.Close()
	}
	p.files = nil
}

func (p *player) step(rnd *rand.Rand) string {
	names := []string{"a", "b", "c", "d", "d/a", "d/b", "d/e", "d/e/a", "x", "x/y"}
	name := func() string { return filepath.Join(p.top, names[rnd.IntN(len(names))]) }
	data := []byte(strings.Repeat(string(rune('a'+rnd.IntN(26))), rnd.IntN(2000)))
	off := int64(rnd.IntN(3000))
	if rnd.IntN(2) == 0 || len(p.files) == 0 {
		switch n := name(); rnd.IntN(9) {
		case 0, 1:
			how := vfs.How(rnd.IntN(8))
			f, err := p.fs.OpenWrite(n, how, 0o640)
			if err == nil {
				p.files = append(p.files, f)
			}
			return outcome("open", n, how, err)
		case 2:
			return outcome("mkdir", n, p.fs.Mkdir(n, 0o750|fs.ModeSetgid))
		case 3, 4:
			to := name()
			return outcome("rename", n, to, p.fs.Rename(n, to))
		case 5:
			to := name()
			return outcome("link", n, to, p.fs.Link(n, to))
		case 6:
			return outcome("remove", n, p.fs.Remove(n))
		case 7:
			if st, err := p.fs.Stat(n); err == nil && !st.Dir {
				return outcome("no directory", n) // the machine syncs the file, which nobody should rely on
			}
			return outcome("syncdir", n, p.fs.SyncDir(n))
		default:
			return outcome("setowner", n, p.fs.SetOwner(n, -1, fs.FileMode(rnd.IntN(0o700))|0o700))
		}
	}
	i := rnd.IntN(len(p.files))
	f := p.files[i]
	switch rnd.IntN(10) {
	case 0, 1, 2:
		n, err := f.Write(data)
		return outcome("write", f.Name(), n, err)
	case 3, 4:
		n, err := f.WriteAt(data, off)
		if err != nil {
			return outcome("writeat", f.Name()) // with Append
		}
		return outcome("writeat", f.Name(), n)
	case 5:
		return outcome("truncate", f.Name(), f.Truncate(off))
	case 6:
		b := make([]byte, 1000)
		n, err := f.ReadAt(b, off)
		return outcome("read", f.Name(), string(b[:n]), err == io.EOF)
	case 7:
		return outcome("sync", f.Name(), f.Sync())
	case 8:
		ok, err := f.TryLock(vfs.LockKind(rnd.IntN(2)))
		return outcome("lock", f.Name(), ok, err)
	default:
		p.files = append(p.files[:i:i], p.files[i+1:]...)
		return outcome("close", f.Name(), f.Close())
	}
}

// outcome prints what was done; of an error only its number.
func outcome(parts ...any) string {
	for i, p := range parts {
		if err, ok := p.(error); ok {
			var errno syscall.Errno
			if !errors.As(err, &errno) {
				parts[i] = err.Error()
				continue
			}
			parts[i] = errno.Error()
		}
	}
	return fmt.Sprintln(parts...)
}

// tree prints what is below a directory.
func tree(t *testing.T, fsys vfs.FS, dir string) string {
	t.Helper()
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		st, err := fsys.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if st.Dir != e.IsDir() && e.Type() != fs.ModeSymlink {
			t.Errorf("%s: a directory: %v, %v", name, st.Dir, e.IsDir())
		}
		fmt.Fprintf(&b, "%s %v %d %d", name, st.Perm, st.UID, st.GID)
		if st.Dir {
			b.WriteString("\n" + tree(t, fsys, name))
			continue
		}
		data, err := vfs.ReadFile(fsys, name, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, " %d %x\n", st.Size, data)
	}
	return b.String()
}

package mailboxlist

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/roostmail/roost/mdbox/vfs"
)

func TestUIDValidityFile(t *testing.T) {
	v, err := DecodeUIDValidity([]byte("6b053493"))
	if err != nil || v != 0x6b053493 {
		t.Errorf("DecodeUIDValidity = %x, %v", v, err)
	}
	if got := string(AppendUIDValidity(nil, 0x00053493)); got != "00053493" {
		t.Errorf("AppendUIDValidity = %q", got)
	}
	for _, bad := range []string{"", "6b05349", "6b0534931", "6B053493", "00000000", "6b05349\n", "+6b05349"} {
		if v, err := DecodeUIDValidity([]byte(bad)); err == nil {
			t.Errorf("%q is accepted as %x", bad, v)
		}
	}
}

func TestLastUIDValidityFallsBackToTheHighestName(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	last := func() uint32 {
		t.Helper()
		v, err := LastUIDValidity(vfs.OS, dir)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := last(); v != 0 {
		t.Errorf("empty directory: %x", v)
	}
	write("dovecot-uidvalidity.00000005", "")
	write("dovecot-uidvalidity.00000007", "")
	write("dovecot-uidvalidity.tmp", "")
	if v := last(); v != 7 {
		t.Errorf("without the file: %x, want 7", v)
	}
	write("dovecot-uidvalidity", "garbage that is too long")
	if v := last(); v != 7 {
		t.Errorf("broken file: %x, want 7", v)
	}
	write("dovecot-uidvalidity", "00000009")
	if v := last(); v != 9 {
		t.Errorf("with the file: %x, want 9", v)
	}
}

// files lists a directory, the content of each file behind its name.
func files(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var s []string
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		s = append(s, strings.TrimPrefix(e.Name(), "dovecot-uidvalidity")+"="+string(b))
	}
	return strings.Join(s, " ")
}

func TestNextUIDValidity(t *testing.T) {
	for name, c := range map[string]struct {
		before map[string]string // by what follows "dovecot-uidvalidity"
		want   uint32
		after  string
	}{
		"first":           {nil, 0x1000, "=00001000 .00001000="},
		"usual":           {map[string]string{"": "00000100", ".00000100": ""}, 0x101, "=00000101 .00000101="},
		"writer died":     {map[string]string{"": "00000100", ".00000101": ""}, 0x102, "=00000102 .00000102="},
		"no main file":    {map[string]string{".00000100": ""}, 0x101, "=00000101 .00000101="},
		"broken":          {map[string]string{"": "x", ".00000100": ""}, 0x101, "=00000101 .00000101="},
		"too long":        {map[string]string{"": "00000200 ", ".00000100": ""}, 0x101, "=00000101 .00000101="},
		"two files":       {map[string]string{"": "00000100", ".00000100": "", ".00000103": ""}, 0x104, "=00000104 .00000104="},
		"only main file":  {map[string]string{"": "00000100"}, 0x1000, "=00001000 .00001000="},
		"main file later": {map[string]string{"": "00002000"}, 0x2001, "=00002001 .00002001="},
		"behind":          {map[string]string{"": "00000200", ".00000100": ""}, 0x201, "=00000201 .00000201="},
		"over the end":    {map[string]string{"": "ffffffff", ".ffffffff": ""}, 1, "=00000001 .00000001="},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for suffix, content := range c.before {
				if err := os.WriteFile(filepath.Join(dir, "dovecot-uidvalidity"+suffix), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := NextUIDValidity(vfs.OS, dir, vfs.Private, 0x1000)
			if err != nil || got != c.want {
				t.Errorf("NextUIDValidity: %x, %v; want %x", got, err, c.want)
			}
			if after := files(t, dir); after != c.after {
				t.Errorf("files: %s; want %s", after, c.after)
			}
		})
	}
}

// overtaken is a file system in which others are faster before the first file is made.
type overtaken struct {
	vfs.FS
	others func()
}

func (o *overtaken) OpenWrite(name string, how vfs.How, perm fs.FileMode) (vfs.WritableFile, error) {
	if others := o.others; others != nil && how&vfs.Exclusive != 0 {
		o.others = nil
		others()
	}
	return o.FS.OpenWrite(name, how, perm)
}

// TestFirstUIDValidityOvertaken: two others allocate after one has seen that there is no file. The second has renamed the file of the first, so
// that its name is free.
func TestFirstUIDValidityOvertaken(t *testing.T) {
	dir := t.TempDir()
	next := func(fsys vfs.FS) uint32 {
		v, err := NextUIDValidity(fsys, dir, vfs.Private, 1000)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	var others []uint32
	v := next(&overtaken{vfs.OS, func() { others = []uint32{next(vfs.OS), next(vfs.OS)} }})
	if slices.Contains(others, v) {
		t.Errorf("%d after %d", v, others)
	}
	if after := files(t, dir); after != "=000003ea .000003ea=" {
		t.Errorf("files: %s", after)
	}
}

// TestUIDValiditiesNeverRepeat lets several allocate at once, from nothing and again after the main file was lost.
func TestUIDValiditiesNeverRepeat(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	seen := map[uint32]bool{}
	for range 3 {
		var g sync.WaitGroup
		for range 8 {
			g.Go(func() {
				for range 20 {
					v, err := NextUIDValidity(vfs.OS, dir, vfs.Private, 1000)
					mu.Lock()
					if err != nil || seen[v] {
						t.Errorf("%d, %v: again", v, err)
					}
					seen[v] = true
					mu.Unlock()
				}
			})
		}
		g.Wait()
		if err := os.Remove(filepath.Join(dir, "dovecot-uidvalidity")); err != nil {
			t.Fatal(err)
		}
	}
}

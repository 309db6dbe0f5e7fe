package mailboxlist

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox/vfs"
)

// longAgo is a file system whose directories were last changed an hour before they were, and that counts how many are read.
type longAgo struct {
	vfs.FS
	recent bool // they are as young as they are
	reads  int
}

func (f *longAgo) Stat(name string) (vfs.Info, error) {
	st, err := f.FS.Stat(name)
	if !f.recent {
		st.Mtime -= 3600e9
		st.Ctime -= 3600e9
	}
	return st, err
}

func (f *longAgo) ReadDir(name string) ([]fs.DirEntry, error) {
	f.reads++
	return f.FS.ReadDir(name)
}

// TestLeavesAreReadOnce: a mailbox without children is looked at again only when its directory has changed, and what has changed is found.
func TestLeavesAreReadOnce(t *testing.T) {
	root := t.TempDir()
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	mkdir := func(name string) { t.Helper(); do(os.MkdirAll(filepath.Join(root, name), 0o700)) }
	for _, m := range []string{"a", "b", "b/child", "link"} {
		mkdir(m + "/dbox-Mails")
	}
	mkdir("elsewhere")
	do(os.Rename(filepath.Join(root, "elsewhere"), filepath.Join(root, "link", "up")))
	fsys, leaves := &longAgo{FS: vfs.OS}, &Leaves{}
	walk := func(when, want string, reads int) {
		t.Helper()
		fsys.reads = 0
		got, err := Walk(fsys, root, Codec{}, 0, leaves)
		do(err)
		var names []string
		for _, m := range got.Mailboxes {
			if m.NoSelect {
				m.Name += "!"
			}
			names = append(names, m.Name)
		}
		if have := strings.Join(names, " "); have != want || fsys.reads != reads {
			t.Errorf("%s: %s with %d directories read, want %s with %d", when, have, fsys.reads, want, reads)
		}
	}
	fsys.recent = true
	walk("just made", "a b b/child link link/up!", 6)
	walk("just made, again", "a b b/child link link/up!", 6)
	fsys.recent = false
	walk("old", "a b b/child link link/up!", 6)
	walk("old, again", "a b b/child link link/up!", 4) // not a and b/child
	mkdir("a/new/dbox-Mails")
	walk("a child more", "a a/new b b/child link link/up!", 6)
	do(os.Symlink(filepath.Join(root, "link"), filepath.Join(root, "a/new/other")))
	walk("a link", "a a/new a/new/other a/new/other/up! b b/child link link/up!", 8)
	do(os.Remove(filepath.Join(root, "b/child/dbox-Mails")))
	walk("no mailbox any more", "a a/new a/new/other a/new/other/up! b b/child! link link/up!", 9)
	do(os.RemoveAll(filepath.Join(root, "a")))
	walk("gone", "b b/child! link link/up!", 5)
}

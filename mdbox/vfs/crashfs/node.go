package crashfs

import (
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/mdbox/vfs"
)

// node is a file, a directory or a symbolic link.
type node struct {
	ino      uint64
	perm     fs.FileMode // permission bits, and fs.ModeSetgid
	uid, gid uint32
	mtime    int64

	names map[string]*node // of a directory: its entries; nil for others
	kept  map[string]*node // of a directory: the entries that are durable
	link  string           // of a symbolic link: where it leads

	content // of a file

	locks [2]*file // by vfs.LockKind: who holds it
}

func (f *FS) newNode(perm, kind fs.FileMode) *node {
	f.lastIno++
	n := &node{ino: f.lastIno, perm: perm, uid: f.UID, gid: f.GID, mtime: f.tick()}
	if kind.IsDir() {
		n.names, n.kept = map[string]*node{}, map[string]*node{}
	}
	return n
}

// inherit gives a new node the group of its directory, if that says so.
func (f *FS) inherit(n, dir *node) {
	if dir.perm&fs.ModeSetgid != 0 {
		n.gid = dir.gid
	}
}

func (n *node) setOwner(gid int, perm fs.FileMode) {
	if gid >= 0 {
		n.gid = uint32(gid)
	}
	n.perm = perm & (fs.ModePerm | fs.ModeSetgid)
}

func (n *node) mode() fs.FileMode {
	switch {
	case n.names != nil:
		return n.perm | fs.ModeDir
	case n.link != "":
		return n.perm | fs.ModeSymlink
	}
	return n.perm
}

func (f *FS) info(n *node) vfs.Info {
	return vfs.Info{
		Size: int64(len(n.data)), Mtime: n.mtime, Ctime: n.mtime, Dev: f.dev, Ino: n.ino, Dir: n.names != nil, UID: n.uid, GID: n.gid, Perm: n.perm,
	}
}

// maxLinks bounds the symbolic links on one path.
const maxLinks = 40

// lookup follows name, and a symbolic link at its end.
func (f *FS) lookup(name string) (*node, error) {
	return f.walk(name, maxLinks)
}

func (f *FS) walk(name string, links int) (*node, error) {
	at, here := f.root, "/"
	for part := range strings.SplitSeq(path.Clean("/"+name), "/") {
		if part == "" {
			continue
		}
		if at.names == nil {
			return nil, unix.ENOTDIR
		}
		next := at.names[part]
		if next == nil {
			return nil, unix.ENOENT
		}
		if next.link != "" {
			if links == 0 {
				return nil, unix.ELOOP
			}
			target := next.link
			if !path.IsAbs(target) {
				target = path.Join(here, target)
			}
			var err error
			if next, err = f.walk(target, links-1); err != nil {
				return nil, err
			}
		}
		at, here = next, path.Join(here, part)
	}
	return at, nil
}

// parent returns the directory that name lies in, and the last element of name.
func (f *FS) parent(name string) (dir *node, base string, err error) {
	name = path.Clean("/" + name)
	if name == "/" {
		return nil, "", unix.EEXIST
	}
	dir, err = f.lookup(path.Dir(name))
	if err == nil && dir.names == nil {
		err = unix.ENOTDIR
	}
	return dir, path.Base(name), err
}

package crashfs

import (
	"io/fs"
	"maps"
	"path"

	"golang.org/x/sys/unix"
)

// change is a change of names that is not durable yet: dir/name becomes node, or is removed if that is nil. A rename is
// one change: fromDir/fromName is removed with it.
type change struct {
	dir      *node
	name     string
	node     *node
	fromDir  *node
	fromName string
}

// change changes the names that everybody sees.
func (f *FS) change(c change) {
	c.apply(func(dir *node) map[string]*node { return dir.names })
	f.pending = append(f.pending, c)
	now := f.tick()
	c.dir.mtime = now
	if c.fromDir != nil {
		c.fromDir.mtime = now
	}
}

func (c change) apply(of func(dir *node) map[string]*node) {
	if c.fromDir != nil {
		delete(of(c.fromDir), c.fromName)
	}
	if c.node == nil {
		delete(of(c.dir), c.name)
	} else {
		of(c.dir)[c.name] = c.node
	}
}

func (c change) in(dir *node) bool { return c.dir == dir || c.fromDir == dir }

// keep makes the first until[dir] changes of each directory durable, and what belongs to them; see the package comment.
func (f *FS) keep(until map[*node]int) {
	// A change keeps all before it in its directories, and a rename has two of them: repeat until nothing is added.
	for added := true; added; {
		added = false
		for i, c := range f.pending {
			if i >= until[c.dir] && (c.fromDir == nil || i >= until[c.fromDir]) {
				continue
			}
			for _, dir := range []*node{c.dir, c.fromDir} {
				if dir != nil && i >= until[dir] {
					until[dir] = i + 1
					added = true
				}
			}
		}
	}
	rest := f.pending[:0]
	for i, c := range f.pending {
		if i >= until[c.dir] {
			rest = append(rest, c)
			continue
		}
		c.apply(func(dir *node) map[string]*node { return dir.kept })
	}
	clear(f.pending[len(rest):])
	f.pending = rest
}

// SyncDir makes the names in a directory durable.
func (f *FS) SyncDir(name string) error {
	return f.do(&Op{Kind: SyncDir, Path: name}, func() error {
		dir, err := f.lookup(name)
		if err != nil {
			return err
		}
		if dir.names == nil {
			return unix.ENOTDIR
		}
		f.keep(map[*node]int{dir: len(f.pending)})
		return nil
	})
}

// Mkdir makes a directory.
func (f *FS) Mkdir(name string, perm fs.FileMode) error {
	return f.do(&Op{Kind: Mkdir, Path: name}, func() error {
		dir, base, err := f.parent(name)
		if err != nil {
			return err
		}
		if dir.names[base] != nil {
			return unix.EEXIST
		}
		if err := f.space(); err != nil {
			return err
		}
		n := f.newNode(perm&(fs.ModePerm|fs.ModeSetgid), fs.ModeDir)
		f.inherit(n, dir)
		f.change(change{dir: dir, name: base, node: n})
		return nil
	})
}

// SetOwner changes the group and the permissions of a file or directory.
func (f *FS) SetOwner(name string, gid int, perm fs.FileMode) error {
	return f.do(&Op{Kind: SetOwner, Path: name}, func() error {
		n, err := f.lookup(name)
		if err == nil {
			n.setOwner(gid, perm)
		}
		return err
	})
}

// Link gives a file a second name.
func (f *FS) Link(from, to string) error {
	return f.do(&Op{Kind: Link, Path: from, To: to}, func() error {
		fromDir, fromBase, err := f.parent(from)
		if err != nil {
			return err
		}
		n := fromDir.names[fromBase]
		if n == nil {
			return unix.ENOENT
		}
		dir, base, err := f.parent(to)
		if err != nil {
			return err
		}
		switch {
		case dir.names[base] != nil:
			return unix.EEXIST
		case n.names != nil:
			return unix.EPERM
		}
		if err := f.space(); err != nil {
			return err
		}
		f.change(change{dir: dir, name: base, node: n})
		return nil
	})
}

// Rename moves a file or a directory.
func (f *FS) Rename(from, to string) error {
	return f.do(&Op{Kind: Rename, Path: from, To: to}, func() error {
		fromDir, fromBase, err := f.parent(from)
		if err != nil {
			return err
		}
		dir, base, err := f.parent(to)
		if err != nil {
			return err
		}
		n, old := fromDir.names[fromBase], dir.names[base]
		if n == nil {
			return unix.ENOENT
		}
		if n == old {
			return nil // two names of one file: rename(2) leaves both
		}
		if n.names != nil && f.isBelow(dir, n) {
			return unix.EINVAL
		}
		if old != nil {
			switch {
			case old.names != nil && f.isBelow(fromDir, old):
				return unix.ENOTEMPTY
			case old.names == nil && n.names != nil:
				return unix.ENOTDIR
			case old.names != nil && n.names == nil:
				return unix.EISDIR
			case len(old.names) > 0:
				return unix.ENOTEMPTY
			}
		}
		f.change(change{dir: dir, name: base, node: n, fromDir: fromDir, fromName: fromBase})
		return nil
	})
}

// isBelow reports whether dir is top, or lies below it.
func (f *FS) isBelow(dir, top *node) bool {
	if dir == top {
		return true
	}
	for n := range maps.Values(top.names) {
		if n.names != nil && f.isBelow(dir, n) {
			return true
		}
	}
	return false
}

// Remove removes a file or an empty directory.
func (f *FS) Remove(name string) error {
	return f.do(&Op{Kind: Remove, Path: name}, func() error {
		dir, base, err := f.parent(name)
		if err != nil {
			return err
		}
		n := dir.names[base]
		if n == nil {
			return unix.ENOENT
		}
		if len(n.names) > 0 {
			return unix.ENOTEMPTY
		}
		f.change(change{dir: dir, name: base})
		return nil
	})
}

// MkdirAll makes a directory and those above it, as far as they are missing. It is for the setup of tests: it is
// durable, and no operation that could fail.
func (f *FS) MkdirAll(name string, perm fs.FileMode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mkdirAll(path.Clean("/"+name), perm)
}

func (f *FS) mkdirAll(name string, perm fs.FileMode) *node {
	if n, err := f.lookup(name); err == nil {
		return n
	}
	return f.put(f.mkdirAll(path.Dir(name), perm), path.Base(name), f.newNode(perm, fs.ModeDir))
}

// put gives n a durable name.
func (f *FS) put(dir *node, name string, n *node) *node {
	dir.names[name], dir.kept[name] = n, n
	return n
}

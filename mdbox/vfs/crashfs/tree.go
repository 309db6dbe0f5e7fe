package crashfs

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Load copies the directory dir of the machine to the directory at, with what is in it; directories above at are made.
// All of it is durable. Times, owners, permissions, symbolic and hard links are kept; anything else is refused.
func (f *FS) Load(dir, at string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	at = path.Clean("/" + at)
	files := map[[2]uint64]*node{} // by device and inode
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		st, err := os.Lstat(name)
		if err != nil {
			return err
		}
		n, err := f.load(name, st, files)
		if err != nil {
			return err
		}
		to := path.Join(at, filepath.ToSlash(rel))
		if to == "/" {
			n.names, n.kept = f.root.names, f.root.kept
			*f.root = *n
			return nil
		}
		parent := f.mkdirAll(path.Dir(to), 0o755)
		f.put(parent, path.Base(to), n)
		return nil
	})
}

func (f *FS) load(name string, st fs.FileInfo, files map[[2]uint64]*node) (*node, error) {
	sys := st.Sys().(*syscall.Stat_t)
	id := [2]uint64{sys.Dev, sys.Ino}
	if n := files[id]; n != nil {
		return n, nil
	}
	n := f.newNode(st.Mode()&(fs.ModePerm|fs.ModeSetgid), st.Mode().Type())
	n.uid, n.gid, n.mtime = sys.Uid, sys.Gid, st.ModTime().UnixNano()
	f.last = max(f.last, n.mtime)
	var err error
	switch st.Mode().Type() {
	case fs.ModeDir:
		return n, nil
	case fs.ModeSymlink:
		n.link, err = os.Readlink(name)
	case 0:
		n.data, err = os.ReadFile(name)
		n.sync(n.mtime)
	default:
		err = fmt.Errorf("%s: neither a file, a directory nor a symbolic link", name)
	}
	files[id] = n
	return n, err
}

// WriteTo copies the directory at to the directory dir of the machine, which must not exist yet. Times and permissions
// are kept; so are links, and the owners if the process may give files away.
func (f *FS) WriteTo(at, dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.lookup(at)
	if err != nil {
		return &fs.PathError{Op: "lookup", Path: at, Err: err}
	}
	return n.writeTo(dir, map[*node]string{})
}

// writeTo writes n under a name; done are the names of the files that are written already.
func (n *node) writeTo(name string, done map[*node]string) error {
	if first, ok := done[n]; ok {
		return os.Link(first, name)
	}
	done[n] = name
	if n.link != "" {
		return os.Symlink(n.link, name)
	}
	if n.names == nil {
		if err := os.WriteFile(name, n.data, 0o600); err != nil {
			return err
		}
	} else {
		if err := os.Mkdir(name, 0o700); err != nil {
			return err
		}
		for base, child := range n.names {
			if err := child.writeTo(filepath.Join(name, base), done); err != nil {
				return err
			}
		}
	}
	if err := os.Chown(name, int(n.uid), int(n.gid)); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	when := time.Unix(0, n.mtime)
	return errors.Join(os.Chmod(name, n.perm), os.Chtimes(name, when, when))
}

// WriteFile makes a file with its directories, or replaces its content. It is for the setup of tests: it is durable,
// and no operation that could fail.
func (f *FS) WriteFile(name string, data []byte, perm fs.FileMode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name = path.Clean("/" + name)
	dir := f.mkdirAll(path.Dir(name), 0o755)
	n := dir.names[path.Base(name)]
	if n == nil {
		n = f.put(dir, path.Base(name), f.newNode(perm, 0))
	}
	n.data, n.mtime = append([]byte(nil), data...), f.tick()
	n.sync(n.mtime)
}

// ReadFile returns the content of a file, as everybody sees it. It is no operation that could fail by a Fault.
func (f *FS) ReadFile(name string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.lookup(name)
	if err == nil && n.names != nil {
		err = unix.EISDIR
	}
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return append([]byte(nil), n.data...), nil
}

// Files returns the paths of all files, sorted, for messages and comparisons of tests.
func (f *FS) Files() (files []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.root.files("/", &files)
	return files
}

func (n *node) files(at string, files *[]string) {
	if n.names == nil {
		*files = append(*files, at)
	}
	for _, name := range slices.Sorted(maps.Keys(n.names)) {
		n.names[name].files(path.Join(at, name), files)
	}
}

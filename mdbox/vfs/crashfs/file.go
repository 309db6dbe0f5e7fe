package crashfs

import (
	"io"
	"io/fs"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/mdbox/vfs"
)

// file is an open file.
type file struct {
	fs       *FS
	node     *node
	name     string
	writable bool
	append   bool
	pos      int // where Write goes on, without append
	closed   bool
}

func (f *FS) newFile(n *node, name string, how vfs.How) *file {
	h := &file{fs: f, node: n, name: name, append: how&vfs.Append != 0}
	f.open[h] = true
	return h
}

// do is an operation on the file.
func (h *file) do(op *Op, do func() error) error {
	op.Path = h.name
	return h.fs.do(op, func() error {
		if h.closed {
			return fs.ErrClosed
		}
		return do()
	})
}

func (h *file) Name() string { return h.name }

func (h *file) Stat() (info vfs.Info, err error) {
	err = h.do(&Op{Kind: Stat}, func() error {
		info = h.fs.info(h.node)
		return nil
	})
	return info, err
}

func (h *file) ReadAt(p []byte, off int64) (n int, err error) {
	err = h.do(&Op{Kind: Read, Off: off, Len: len(p)}, func() error {
		if h.node.names != nil {
			return unix.EISDIR
		}
		if off < 0 {
			return unix.EINVAL
		}
		if off < int64(len(h.node.data)) {
			n = copy(p, h.node.data[off:])
		}
		return nil
	})
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// Close ends the locks on the file. It is no operation that fails.
func (h *file) Close() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.closed {
		return &fs.PathError{Op: "close", Path: h.name, Err: fs.ErrClosed}
	}
	h.closed = true
	delete(h.fs.open, h)
	for kind, holder := range h.node.locks {
		if holder == h {
			h.node.locks[kind] = nil
		}
	}
	return nil
}

func (h *file) Write(p []byte) (n int, err error) {
	err = h.do(&Op{Kind: Write, Len: len(p)}, func() error {
		if h.append {
			h.pos = len(h.node.data)
		}
		n, err = h.write(p, h.pos)
		h.pos += n
		return err
	})
	return n, err
}

func (h *file) WriteAt(p []byte, off int64) (n int, err error) {
	err = h.do(&Op{Kind: Write, Off: off, Len: len(p)}, func() error {
		if h.append || off < 0 {
			return unix.EINVAL
		}
		n, err = h.write(p, int(off))
		return err
	})
	return n, err
}

// write writes as much as there is space for.
func (h *file) write(p []byte, off int) (n int, err error) {
	if !h.writable {
		return 0, unix.EBADF
	}
	n = h.fs.room(h.node, off, len(p))
	if n > 0 {
		h.change(write{off: off, data: slices.Clone(p[:n])})
	}
	if n < len(p) {
		return n, unix.ENOSPC
	}
	return n, nil
}

func (h *file) change(w write) {
	h.node.change(w)
	h.node.mtime = h.fs.tick()
}

func (h *file) Truncate(size int64) error {
	return h.do(&Op{Kind: Truncate, Off: size}, func() error {
		if !h.writable || size < 0 {
			return unix.EINVAL
		}
		h.change(write{off: int(size), truncate: true})
		return nil
	})
}

func (h *file) Allocate(size int64) error {
	return h.do(&Op{Kind: Allocate, Off: size}, func() error {
		if size <= int64(len(h.node.data)) {
			return nil
		}
		return h.fs.space()
	})
}

func (h *file) Sync() error {
	return h.do(&Op{Kind: Sync}, func() error {
		h.node.sync(h.node.mtime)
		return nil
	})
}

func (h *file) SetOwner(gid int, perm fs.FileMode) error {
	return h.do(&Op{Kind: SetOwner}, func() error {
		h.node.setOwner(gid, perm)
		return nil
	})
}

func (h *file) SetMtime(t int64) error {
	return h.do(&Op{Kind: SetOwner}, func() error {
		h.node.mtime = t
		return nil
	})
}

func (h *file) TryLock(kind vfs.LockKind) (ok bool, err error) {
	err = h.do(&Op{Kind: Lock}, func() error {
		if holder := h.node.locks[kind]; holder != nil && holder != h {
			return nil
		}
		h.node.locks[kind], ok = h, true
		return nil
	})
	return ok, err
}

func (h *file) Unlock(kind vfs.LockKind) error {
	return h.do(&Op{Kind: Unlock}, func() error {
		if h.node.locks[kind] == h {
			h.node.locks[kind] = nil
		}
		return nil
	})
}

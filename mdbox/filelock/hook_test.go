package filelock_test

import (
	"io/fs"

	"github.com/roostmail/roost/mdbox/vfs"
)

// polling is the file system of the machine, where locks are not waited for in the kernel: in a bubble of synctest time
// goes on only if all wait for it.
type polling struct{ vfs.FS }

func (p polling) OpenWrite(name string, how vfs.How, perm fs.FileMode) (vfs.WritableFile, error) {
	f, err := p.FS.OpenWrite(name, how, perm)
	if err != nil {
		return nil, err
	}
	return struct{ vfs.WritableFile }{f}, nil
}

var slow = polling{vfs.OS}

// hooks is the file system of the machine, with something that happens at a certain moment, once.
type hooks struct {
	vfs.FS
	overriding func() // a lock that is there is opened, to override it
	unlocked   func() // a file was unlocked
	writing    func() // a file is about to be written
}

func once(f *func()) {
	if g := *f; g != nil {
		*f = nil
		g()
	}
}

func (h *hooks) OpenWrite(name string, how vfs.How, perm fs.FileMode) (vfs.WritableFile, error) {
	if how&vfs.Create == 0 {
		once(&h.overriding)
	}
	f, err := h.FS.OpenWrite(name, how, perm)
	if err != nil {
		return nil, err
	}
	return hookedFile{f, h}, nil
}

type hookedFile struct {
	vfs.WritableFile
	h *hooks
}

func (f hookedFile) Write(b []byte) (int, error) {
	once(&f.h.writing)
	return f.WritableFile.Write(b)
}

func (f hookedFile) Unlock(kind vfs.LockKind) error {
	err := f.WritableFile.Unlock(kind)
	once(&f.h.unlocked)
	return err
}

package vfs

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"runtime"
	"slices"
	"sync/atomic"
)

// ErrIdentity says that the process can not work under the identity that is asked for.
var ErrIdentity = errors.New("can not work under another identity")

// As returns fsys as a user of the system sees it: uid, gid, and the supplementary groups. Files are made in the name of
// that user, and what the user may not do fails with fs.ErrPermission. It is fsys itself if that is the identity of the
// process.
//
// A process can take another identity only if it runs as root, with the capabilities to change user and group ids, and if
// that takes away its privilege over files; else the error is ErrIdentity. So it is for the identity of root in another group.
//
// Only operations on paths but Stat, and the change of an owner, are carried out under the identity: what an open file
// may do was decided when it was opened. A process of root goes beyond disk quotas, and uses the space that
// is reserved for root, unless it has given up CAP_SYS_RESOURCE.
//
// For each operation a thread gets the identity by setfsuid(2), setfsgid(2) and setgroups(2), and gives it back: that of the caller if only
// ids change, which the kernel lets root have back whatever happens, else one of its own, which ends if it can not. As the kernel has it, a change of
// identity clears the parent-death signal of that thread, and makes the process not dumpable.
func As(fsys FS, uid, gid int, groups []int) (FS, error) {
	own, err := ownCredentials()
	if err != nil {
		return nil, err
	}
	want := credentials{uid: uid, gid: gid}
	missing := -1 // a group that the process is not in
	for _, g := range groups {
		want.groups = append(want.groups, uint32(g))
		if !own.has(g) {
			missing = g
		}
	}
	refuse := func(why string, args ...any) (FS, error) {
		return nil, fmt.Errorf("user %d, group %d: %w: %w", uid, gid, ErrIdentity, fmt.Errorf(why, args...))
	}
	for _, id := range append([]int{uid, gid}, groups...) {
		if id < 0 || int64(id) >= math.MaxUint32 {
			return refuse("%d is not an id", id)
		}
	}
	if uid == own.uid && gid == own.gid {
		if missing >= 0 && uid != 0 {
			return refuse("the process is not in group %d, and not root", missing)
		}
		return fsys, nil
	}
	if own.uid != 0 {
		return refuse("the process runs as user %d, group %d, and not as root", own.uid, own.gid)
	}
	if uid == 0 {
		return refuse("root has privilege over all files")
	}
	// The thread has the groups of the process unless somebody took others: each who does gives them back.
	sameGroups := slices.Equal(want.groups, own.groups)
	id := &identity{fs: fsys, assume: want.assume, resume: own.assume}
	if sameGroups {
		id.assume, id.resume, id.here = want.assumeIDs, own.assumeIDs, true
	}
	if unprivileged.Load() {
		return id, nil
	}
	var privileged bool
	if failed := id.do(func() { privileged, err = bypasses() }); failed != nil {
		return refuse("%w", failed)
	}
	if err != nil {
		return refuse("%w", err)
	}
	if privileged {
		return refuse("the process keeps its privilege over files")
	}
	unprivileged.Store(true)
	return id, nil
}

// unprivileged: another user's id has been seen to take privilege over files from a thread of this process. It does so for all users:
// what decides are the securebits, which a Go program has set before it starts or not at all.
var unprivileged atomic.Bool

// Together runs f with the file system that fsys stands for, so that all operations in f on paths take one change of identity
// instead of one each. What f gets must not be used after it has returned, or by other goroutines. f may run in another goroutine; a panic
// in it is one of the caller. The error says that the identity could not be taken; f did not run then.
func Together(fsys FS, f func(FS)) error {
	x, ok := fsys.(*identity)
	if !ok {
		f(fsys)
		return nil
	}
	var panicked any
	err := x.do(func() {
		defer func() { panicked = recover() }()
		f(x.fs)
	})
	if panicked != nil {
		panic(panicked)
	}
	return err
}

// identity is a file system as a user sees it.
type identity struct {
	fs     FS
	assume func() error // takes the identity, for the calling thread
	resume func() error // gives it back
	here   bool         // resume does not fail: the caller's own thread can take the identity
}

// do runs f under the identity, and returns an error if it could not. Unless x.here is set the thread is another than that of the caller: if
// it can not get rid of the identity, it ends with its goroutine, and the caller goes on.
func (x *identity) do(f func()) error {
	if x.here {
		return x.doHere(f)
	}
	done := make(chan error, 1)
	go func() { // ends when f has returned, before do does
		runtime.LockOSThread()
		err := x.assume()
		if err == nil {
			f()
		}
		if x.resume() == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// doHere is do on the thread of the caller: another one has to be woken first, which takes longer than most operations. If resume failed nevertheless, no
// other goroutine would get the thread, and the caller would have fewer rights than before.
func (x *identity) doHere(f func()) error {
	runtime.LockOSThread()
	defer func() {
		if x.resume() == nil {
			runtime.UnlockOSThread()
		}
	}()
	if err := x.assume(); err != nil {
		return err
	}
	f()
	return nil
}

// path is do for an operation on a path, which returns its error.
func (x *identity) path(op, name string, f func() error) error {
	var err error
	if failed := x.do(func() { err = f() }); failed != nil {
		return &fs.PathError{Op: op, Path: name, Err: failed}
	}
	return err
}

func (x *identity) Open(name string) (f File, err error) {
	err = x.path("open", name, func() (err error) {
		f, err = x.fs.Open(name)
		return err
	})
	return f, err
}

// Stat does not take the identity, which would cost ten times as much, unless the process itself may not look (root of a client of NFS):
// it is called for every message, and what it tells goes no further than to the caller.
func (x *identity) Stat(name string) (st Info, err error) {
	if st, err = x.fs.Stat(name); !errors.Is(err, fs.ErrPermission) {
		return st, err
	}
	err = x.path("stat", name, func() (err error) {
		st, err = x.fs.Stat(name)
		return err
	})
	return st, err
}

func (x *identity) ReadDir(name string) (entries []fs.DirEntry, err error) {
	err = x.path("readdir", name, func() (err error) {
		entries, err = x.fs.ReadDir(name)
		return err
	})
	for i, e := range entries {
		entries[i] = identityEntry{e, x}
	}
	return entries, err
}

func (x *identity) OpenWrite(name string, how How, perm fs.FileMode) (f WritableFile, err error) {
	err = x.path("open", name, func() (err error) {
		f, err = x.fs.OpenWrite(name, how, perm)
		return err
	})
	if err != nil {
		return nil, err
	}
	return identityFile{f, x}, nil
}

func (x *identity) Mkdir(name string, perm fs.FileMode) error {
	return x.path("mkdir", name, func() error { return x.fs.Mkdir(name, perm) })
}

func (x *identity) SetOwner(name string, gid int, perm fs.FileMode) error {
	return x.path("chown", name, func() error { return x.fs.SetOwner(name, gid, perm) })
}

func (x *identity) Rename(from, to string) error {
	return x.path("rename", to, func() error { return x.fs.Rename(from, to) })
}

func (x *identity) Link(from, to string) error {
	return x.path("link", to, func() error { return x.fs.Link(from, to) })
}

func (x *identity) Remove(name string) error {
	return x.path("remove", name, func() error { return x.fs.Remove(name) })
}

func (x *identity) SyncDir(name string) error {
	return x.path("sync", name, func() error { return x.fs.SyncDir(name) })
}

// identityFile is an open file whose owner is changed as the user may.
type identityFile struct {
	WritableFile
	x *identity
}

func (f identityFile) SetOwner(gid int, perm fs.FileMode) error {
	return f.x.path("chown", f.Name(), func() error { return f.WritableFile.SetOwner(gid, perm) })
}

func (f identityFile) SetMtime(t int64) error {
	return f.x.path("futimes", f.Name(), func() error { return f.WritableFile.SetMtime(t) })
}

// WaitLock waits as the file itself does, if it can.
func (f identityFile) WaitLock(kind LockKind) error {
	if w, ok := f.WritableFile.(LockWaiter); ok {
		return w.WaitLock(kind)
	}
	return errors.ErrUnsupported
}

// identityEntry is an entry of a directory, which looks at its file as the user may.
type identityEntry struct {
	fs.DirEntry
	x *identity
}

func (e identityEntry) Info() (info fs.FileInfo, err error) {
	err = e.x.path("stat", e.Name(), func() (err error) {
		info, err = e.DirEntry.Info()
		return err
	})
	return info, err
}

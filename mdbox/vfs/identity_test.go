package vfs

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// reachable is a directory that every user may enter and write to.
func reachable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "vfstest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// The identity of the process itself needs no privilege, and others are refused without.
func TestAsRefuses(t *testing.T) {
	uid, gid := os.Geteuid(), os.Getegid()
	if f, err := As(OS, uid, gid, nil); f != OS || err != nil {
		t.Errorf("ourselves: %v, %v", f, err)
	}
	refused := [][2]int{{-1, gid}, {uid, -1}, {math.MaxInt32, -2}, {0, gid + 1}}
	if uid != 0 {
		refused = append(refused, [2]int{uid + 1, gid}, [2]int{uid, gid + 1}, [2]int{0, 0})
		if _, err := As(OS, uid, gid, []int{1 << 30}); !errors.Is(err, ErrIdentity) {
			t.Errorf("a group that we are not in: %v, want ErrIdentity", err)
		}
	}
	for _, id := range refused {
		if _, err := As(OS, id[0], id[1], nil); !errors.Is(err, ErrIdentity) {
			t.Errorf("user %d, group %d: %v, want ErrIdentity", id[0], id[1], err)
		}
	}
}

// asRoot runs a test that only root can run. Others can but be refused, which TestAsRefuses is about.
func asRoot(t *testing.T, test func(t *testing.T)) {
	if os.Geteuid() == 0 {
		test(t)
	} else if _, err := As(OS, os.Geteuid()+1, os.Getegid(), nil); !errors.Is(err, ErrIdentity) {
		t.Errorf("not root: %v, want ErrIdentity", err)
	}
}

func mustAs(t *testing.T, uid, gid int, groups ...int) FS {
	t.Helper()
	f, err := As(OS, uid, gid, groups)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAsOwnsAndIsRefused(t *testing.T) {
	asRoot(t, func(t *testing.T) {
		top := reachable(t)
		alice, bob := mustAs(t, 2001, 3001, 3010, 3011), mustAs(t, 2002, 3002)
		home := filepath.Join(top, "alice")
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(alice.Mkdir(home, 0o700))
		f, err := alice.OpenWrite(filepath.Join(home, "f"), Create|Exclusive, 0o600)
		must(err)
		defer f.Close()
		_, err = f.Write([]byte("hers"))
		must(err)
		for _, name := range []string{home, filepath.Join(home, "f")} {
			if st, err := OS.Stat(name); err != nil || st.UID != 2001 || st.GID != 3001 {
				t.Errorf("%s belongs to %d:%d, %v; want 2001:3001", name, st.UID, st.GID, err)
			}
		}
		// A supplementary group may be given, another one may not: by path and by the open file.
		must(f.SetOwner(3011, 0o660))
		must(alice.SetOwner(home, 3010, 0o750))
		for _, err := range []error{f.SetOwner(3002, 0o660), alice.SetOwner(home, 3002, 0o750)} {
			if !errors.Is(err, fs.ErrPermission) {
				t.Errorf("a group of others: %v, want fs.ErrPermission", err)
			}
		}
		must(alice.SyncDir(home))
		must(alice.Link(filepath.Join(home, "f"), filepath.Join(home, "g")))
		must(alice.Rename(filepath.Join(home, "g"), filepath.Join(home, "h")))
		entries, err := alice.ReadDir(home)
		must(err)
		if info, err := entries[0].Info(); len(entries) != 2 || err != nil || info.Size() != 4 {
			t.Errorf("%d entries, %v", len(entries), err)
		}

		in := filepath.Join(home, "f")
		_, e1 := bob.Open(in)
		_, e3 := bob.ReadDir(home)
		_, e4 := bob.OpenWrite(in, 0, 0)
		_, e5 := bob.OpenWrite(filepath.Join(home, "x"), Create, 0o600)
		for i, err := range []error{
			e1, e3, e4, e5, bob.Mkdir(filepath.Join(home, "x"), 0o700), bob.Rename(in, filepath.Join(top, "x")), bob.Link(in, filepath.Join(top, "x")),
			bob.Remove(in), bob.SyncDir(home), bob.SetOwner(in, -1, 0o666),
		} {
			if !errors.Is(err, unix.EACCES) {
				t.Errorf("operation %d in a directory of others: %v, want EACCES", i, err)
			}
		}
		if b, err := ReadFile(alice, in, 10); string(b) != "hers" || err != nil {
			t.Errorf("she reads %q, %v", b, err)
		}
		must(alice.Remove(in))
		// In a group, one may what the group may.
		if _, err := mustAs(t, 2003, 3003, 3010).ReadDir(home); err != nil {
			t.Errorf("by a supplementary group: %v", err)
		}
		unchanged(t)
	})
}

// unchanged fails if a thread of the process is somebody else.
func unchanged(t *testing.T) {
	t.Helper()
	own, err := ownCredentials()
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(tasks) == 0 {
		t.Fatal(tasks, err)
	}
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			fmt.Sprintf("Uid:\t%d\t%[1]d\t%[1]d\t%[1]d", own.uid), fmt.Sprintf("Gid:\t%d\t%[1]d\t%[1]d\t%[1]d", own.gid),
			strings.TrimSpace("Groups:\t" + strings.Trim(fmt.Sprint(own.groups), "[]")),
		} {
			if !strings.Contains(string(b), want) {
				t.Errorf("%s: no line %q:\n%s", task, want, b)
			}
		}
	}
}

// Goroutines under different identities, and such under none, never get one of another.
func TestAsNeverMixes(t *testing.T) {
	asRoot(t, func(t *testing.T) {
		top := reachable(t)
		const users, each = 6, 200
		var wg sync.WaitGroup
		all := []FS{OS}
		for u := range users {
			if u > 0 {
				all = append(all, mustAs(t, 2000+u, 3000+u))
			}
			if err := all[u].Mkdir(filepath.Join(top, fmt.Sprint(u)), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		for u, f := range all {
			uid, gid := 2000+u, 3000+u
			if u == 0 {
				uid, gid = os.Geteuid(), os.Getegid()
			}
			home := filepath.Join(top, fmt.Sprint(u))
			others := filepath.Join(top, fmt.Sprint((u+1)%users))
			wg.Go(func() {
				for i := range each {
					name := filepath.Join(home, fmt.Sprint(i))
					h, err := f.OpenWrite(name, Create|Exclusive, 0o600)
					if err != nil {
						t.Error(err)
						return
					}
					st, err := h.Stat()
					if err != nil || int(st.UID) != uid || int(st.GID) != gid {
						t.Errorf("a file of %d:%d belongs to %d:%d, %v", uid, gid, st.UID, st.GID, err)
					}
					if err := h.Close(); err != nil {
						t.Error(err)
					}
					if _, err := f.ReadDir(others); u > 0 && !errors.Is(err, unix.EACCES) {
						t.Errorf("user %d in the directory of the next: %v, want EACCES", u, err)
					}
					if err := f.Remove(name); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		unchanged(t)
	})
}

// An identity that can not be taken is not worked under, and a thread that can not get rid of one is not used again.
func TestIdentityFails(t *testing.T) {
	var bad atomic.Int64
	broken := errors.New("broken")
	x := &identity{fs: OS, assume: func() error { return broken }, resume: func() error { return nil }}
	if err := x.do(func() { t.Error("done under the wrong identity") }); !errors.Is(err, broken) {
		t.Errorf("err = %v, want that of assume", err)
	}
	if _, err := x.ReadDir("/"); !errors.Is(err, broken) {
		t.Errorf("err = %v, want that of assume", err)
	}
	x.assume = func() error { return nil }
	x.resume = func() error {
		bad.Store(int64(unix.Gettid()))
		return broken
	}
	if _, err := x.ReadDir("/"); err != nil {
		t.Errorf("what was done under the identity: %v", err)
	}
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if int64(unix.Gettid()) == bad.Load() {
				t.Error("a thread with a foreign identity goes on")
			}
		})
	}
	wg.Wait()
}

// Where only ids change, the caller's thread takes the identity, and gives it back whatever becomes of the operation.
func TestIdentityHere(t *testing.T) {
	taken := 0
	x := &identity{fs: OS, here: true, assume: func() error { taken++; return nil }, resume: func() error { taken--; return nil }}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	caller := unix.Gettid()
	if err := x.do(func() {
		if taken != 1 || unix.Gettid() != caller {
			t.Errorf("taken %d times, thread %d, the caller's is %d", taken, unix.Gettid(), caller)
		}
	}); err != nil || taken != 0 {
		t.Errorf("%v, the thread keeps the identity: %d", err, taken)
	}
	func() {
		defer func() {
			if recover() == nil || taken != 0 {
				t.Errorf("after a panic the thread keeps the identity: %d", taken)
			}
		}()
		_ = x.do(func() { panic("in f") })
	}()
	broken := errors.New("broken")
	resumed := false
	x.assume, x.resume = func() error { return broken }, func() error { resumed = true; return nil }
	if err := x.do(func() { t.Error("done under the wrong identity") }); !errors.Is(err, broken) || !resumed {
		t.Errorf("err = %v, want that of assume; given back: %v", err, resumed)
	}
}

// Names are those of ReadDir, of every file system.
func TestNames(t *testing.T) {
	dir := reachable(t)
	want := map[string]bool{}
	for i := range 300 { // more than one getdents(2) returns
		name := fmt.Sprintf("%d-%s", i, strings.Repeat("x", i%50))
		want[name] = true
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	taken := 0
	other := &identity{fs: OS, assume: func() error { taken++; return nil }, resume: func() error { return nil }}
	for _, f := range []FS{OS, other, struct{ FS }{OS}} {
		names, err := Names(f, dir)
		if err != nil || len(names) != len(want) {
			t.Errorf("%T: %d names, %v; want %d", f, len(names), err, len(want))
		}
		for _, n := range names {
			if !want[n] {
				t.Errorf("%T: %q", f, n)
			}
		}
		if _, err := Names(f, filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%T: of nothing: %v", f, err)
		}
	}
	if taken != 0 {
		t.Errorf("the identity was taken %d times", taken)
	}
	other.fs = forbidden{OS, new(bool)}
	if names, err := Names(other, dir); err != nil || len(names) != len(want) || taken != 1 {
		t.Errorf("what the process may not see: %d names, %v, the identity was taken %d times", len(names), err, taken)
	}
}

// forbidden is a file system in which the first look at a directory is refused.
type forbidden struct {
	FS
	looked *bool
}

func (f forbidden) ReadDir(name string) ([]fs.DirEntry, error) {
	if !*f.looked {
		*f.looked = true
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrPermission}
	}
	return f.FS.ReadDir(name)
}

// Together takes the identity once for all that is done in it, and hands a panic to the caller.
func TestTogether(t *testing.T) {
	taken := 0
	x := &identity{fs: OS, assume: func() error { taken++; return nil }, resume: func() error { return nil }}
	names := 0
	if err := Together(x, func(f FS) {
		for _, dir := range []string{"/", os.TempDir()} {
			if _, err := f.ReadDir(dir); err == nil {
				names++
			}
		}
	}); err != nil || names != 2 || taken != 1 {
		t.Errorf("%v; %d directories read under an identity that was taken %d times, want 2 and 1", err, names, taken)
	}
	broken := errors.New("broken")
	x.assume = func() error { return broken }
	if err := Together(x, func(FS) { t.Error("done under the wrong identity") }); !errors.Is(err, broken) {
		t.Errorf("err = %v, want that of assume", err)
	}
	if err := Together(OS, func(f FS) { names++ }); err != nil || names != 3 {
		t.Errorf("without an identity: %v", err)
	}
	x.assume = func() error { return nil }
	defer func() {
		if v := recover(); v != "in f" {
			t.Errorf("recovered %v, want the panic of f", v)
		}
	}()
	_ = Together(x, func(FS) { panic("in f") })
}

func BenchmarkAs(b *testing.B) {
	for name, uid := range map[string]int{"own": os.Geteuid(), "other": 2001} {
		b.Run("identity="+name, func(b *testing.B) {
			gid := uid
			if name == "own" {
				gid = os.Getegid()
			}
			f, err := As(OS, uid, gid, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				d, err := f.Open("/")
				if err != nil {
					b.Fatal(err)
				}
				d.Close()
			}
		})
	}
}

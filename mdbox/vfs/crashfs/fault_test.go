package crashfs_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/mdbox/vfs"
	"github.com/roostmail/roost/mdbox/vfs/crashfs"
)

// scenario replaces a file, and ends at the first error.
func scenario(f *crashfs.FS) error {
	if _, err := f.Stat("/d/o"); err != nil {
		return err
	}
	h, err := f.OpenWrite("/d/o.tmp", vfs.Create|vfs.Exclusive, 0o600)
	if err != nil {
		return err
	}
	defer h.Close()
	if ok, err := h.TryLock(vfs.LockFcntl); !ok {
		return err
	}
	if _, err := h.Write([]byte("01234567")); err != nil {
		return err
	}
	if err := h.Sync(); err != nil {
		return err
	}
	if err := f.Rename("/d/o.tmp", "/d/o"); err != nil {
		return err
	}
	return f.SyncDir("/d")
}

func TestFaults(t *testing.T) {
	const (
		none  = "/d/o=old"
		empty = "/d/o=old /d/o.tmp="
		half  = "/d/o=old /d/o.tmp=0123"
		whole = "/d/o=old /d/o.tmp=01234567"
		done  = "/d/o=01234567"
	)
	for _, c := range []struct {
		what crashfs.What
		err  error
		of   crashfs.Kind
		left []string // after the n-th operation failed; "+" means that the scenario succeeded
	}{
		{crashfs.IOError, unix.EIO, 0, []string{none, empty, whole, whole, done}},
		{crashfs.IOError, unix.EIO, crashfs.All, []string{none, none, empty, empty, whole, whole, done}},
		{crashfs.IOError, unix.EIO, crashfs.Rename, []string{whole}},
		{crashfs.Short, unix.ENOSPC, 0, []string{none, half, "+" + done, "+" + done, "+" + done}},
		{crashfs.Full, unix.ENOSPC, 0, []string{none, half, "+" + done, "+" + done, "+" + done}},
		{crashfs.PowerCut, crashfs.ErrPowerCut, 0, []string{none, empty, whole, whole, done}},
	} {
		for n := 1; ; n++ {
			f := crashfs.New()
			f.WriteFile("/d/o", []byte("old"), 0o600)
			fault := crashfs.Fault{N: n, Of: c.of, What: c.what}
			f.Inject(fault)
			err := scenario(f)
			if !f.Hit() {
				if err != nil {
					t.Errorf("%v: not hit, and %v", fault, err)
				}
				if n-1 != len(c.left) {
					t.Errorf("%v: %d operations failed, want %d", fault, n-1, len(c.left))
				}
				break
			}
			if n > len(c.left) {
				t.Errorf("%v: hit", fault)
				break
			}
			want, success := strings.CutPrefix(c.left[n-1], "+")
			if success != (err == nil) || err != nil && !errors.Is(err, c.err) {
				t.Errorf("%v: %v, want %v", fault, err, c.err)
			}
			if got := state(t, f); got != want {
				t.Errorf("%v: left %q, want %q", fault, got, want)
			}
			must(t, f.Check())
		}
	}
}

// After a power cut nothing works, and nothing changes.
func TestPowerCutIsTheEnd(t *testing.T) {
	f := crashfs.New()
	f.WriteFile("/d/o", []byte("old"), 0o600)
	h, err := f.OpenWrite("/d/o", 0, 0)
	must(t, err)
	f.Inject(crashfs.Fault{N: 1, What: crashfs.PowerCut})
	_, err = h.Write([]byte("new"))
	for name, err := range map[string]error{
		"write": err, "again": scenario(f), "unlock": h.Unlock(vfs.LockFcntl), "truncate": h.Truncate(0), "sync": h.Sync(),
		"remove": f.Remove("/d/o"), "mkdir": f.Mkdir("/x", 0o700),
	} {
		if !errors.Is(err, crashfs.ErrPowerCut) {
			t.Errorf("%s: %v, want ErrPowerCut", name, err)
		}
	}
	if _, err := h.ReadAt(make([]byte, 1), 0); !errors.Is(err, crashfs.ErrPowerCut) {
		t.Errorf("read: %v, want ErrPowerCut", err)
	}
	must(t, h.Close())
	if got := state(t, f); got != "/d/o=old" {
		t.Errorf("left %q", got)
	}
	if err := scenario(f.After(crashfs.LoseUnsynced, 0)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// On a full disk, what is there can be overwritten and removed, and nothing grows.
func TestFullDisk(t *testing.T) {
	f := crashfs.New()
	f.WriteFile("/o", []byte("old"), 0o600)
	h, err := f.OpenWrite("/o", 0, 0)
	must(t, err)
	f.Inject(crashfs.Fault{N: 1, What: crashfs.Full})
	must(t, h.Allocate(3))
	if n, err := h.WriteAt([]byte("new+"), 0); n != 3 || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("WriteAt: %d, %v; want 3 and ENOSPC", n, err)
	}
	if n, err := h.WriteAt([]byte("+"), 10); n != 0 || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("WriteAt behind the end: %d, %v; want 0 and ENOSPC", n, err)
	}
	must(t, h.Sync())
	if _, err := f.OpenWrite("/n", vfs.Create, 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("new file: %v, want ENOSPC", err)
	}
	for name, err := range map[string]error{"allocate": h.Allocate(4), "mkdir": f.Mkdir("/d", 0o700), "link": f.Link("/o", "/l")} {
		if !errors.Is(err, unix.ENOSPC) {
			t.Errorf("%s: %v, want ENOSPC", name, err)
		}
	}
	must(t, f.Rename("/o", "/p"))
	if got := state(t, f); got != "/p=new" {
		t.Errorf("left %q", got)
	}
	f.Inject(crashfs.Fault{}) // somebody makes space
	create(t, f, "/n", "n", true)
	must(t, f.Remove("/p"))
}

func TestTrace(t *testing.T) {
	f := crashfs.New()
	f.WriteFile("/d/o", []byte("old"), 0o600)
	f.Inject(crashfs.Fault{N: 4, What: crashfs.IOError})
	if err := scenario(f); !errors.Is(err, unix.EIO) {
		t.Fatal(err)
	}
	want := `   1  openwrite /d/o.tmp
   2  write /d/o.tmp at 0, 8 bytes
   3  sync /d/o.tmp
   4  rename /d/o.tmp -> /d/o: input/output error
`
	if got := f.TraceString(crashfs.Writes); got != want {
		t.Errorf("trace:\n%s\nwant:\n%s", got, want)
	}
	if n := f.Count(crashfs.All); n != 6 {
		t.Errorf("%d operations, want 6", n)
	}
	if got, want := fmt.Sprint(crashfs.Fault{N: 3, What: crashfs.Short}, " ", crashfs.Stat|crashfs.Unlock), "short write at operation 3 stat|unlock"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Each change has a time of its own, whatever the clock does.
func TestTimesAscend(t *testing.T) {
	f := crashfs.New()
	last := int64(0)
	next := func() {
		t.Helper()
		st, err := f.Stat("/d/o")
		must(t, err)
		if st.Mtime <= last {
			t.Errorf("time %d after %d", st.Mtime, last)
		}
		last = st.Mtime
	}
	f.WriteFile("/d/o", nil, 0o600)
	next()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	f.SetClock(func() time.Time { return now })
	for range 3 {
		f.WriteFile("/d/o", nil, 0o600)
		next()
	}
	if last != now.UnixNano()+2 {
		t.Errorf("the clock was not used: %d", last)
	}
	now = now.Add(-time.Hour)
	f.WriteFile("/d/o", nil, 0o600)
	next()
	f = f.After(crashfs.LoseUnsynced, 0)
	f.WriteFile("/d/o", nil, 0o600)
	next()
}

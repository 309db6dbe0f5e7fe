package filelock_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/vfs"
)

func dotlock(t *testing.T, c *filelock.Config, path string, o filelock.DotlockOptions) (*filelock.Dotlock, error) {
	t.Helper()
	o.Suffix = ".lock"
	d, err := c.Dotlock(t.Context(), path, o)
	if err == nil {
		t.Cleanup(func() { d.Release() })
	}
	return d, err
}

func mustDotlock(t *testing.T, c *filelock.Config, path string, o filelock.DotlockOptions) *filelock.Dotlock {
	t.Helper()
	d, err := dotlock(t, c, path, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// deadPID is the id of a process that has ended.
func deadPID(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

func TestDotlockContent(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, excl := range []bool{true, false} {
		for pid, want := range map[bool]string{true: fmt.Sprintf("%d:%s", os.Getpid(), host), false: ""} {
			path := makeFile(t)
			d := mustDotlock(t, &filelock.Config{DotlockExcl: excl}, path, filelock.DotlockOptions{PID: pid, Perm: vfs.Perm{Mode: 0o660, GID: -1}})
			if got := readFile(t, path+".lock"); got != want {
				t.Errorf("the lock holds %q, want %q", got, want)
			}
			if st, err := os.Stat(path + ".lock"); err != nil || st.Mode() != 0o660 {
				t.Errorf("%v, %v", st.Mode(), err)
			}
			release(t, d)
			if n := names(t, path); len(n) != 1 {
				t.Errorf("left behind: %q", n)
			}
		}
	}
}

func TestDotlockBecomesTheFile(t *testing.T) {
	for _, excl := range []bool{true, false} {
		path := makeFile(t)
		d := mustDotlock(t, &filelock.Config{DotlockExcl: excl}, path, filelock.DotlockOptions{})
		if _, err := d.File.Write([]byte("new")); err != nil {
			t.Fatal(err)
		}
		if got := readFile(t, path); got != "old" {
			t.Errorf("before Replace the file holds %q", got)
		}
		if err := d.Replace(); err != nil {
			t.Fatal(err)
		}
		release(t, d) // does nothing
		if got := readFile(t, path); got != "new" {
			t.Errorf("the file holds %q", got)
		}
		if n := names(t, path); len(n) != 1 {
			t.Errorf("left behind: %q", n)
		}
	}
}

func TestDotlockIsLost(t *testing.T) {
	for _, end := range []func(*filelock.Dotlock) error{(*filelock.Dotlock).Replace, (*filelock.Dotlock).Release} {
		for _, overridden := range []bool{true, false} {
			path := makeFile(t)
			d := mustDotlock(t, &filelock.Config{DotlockExcl: true}, path, filelock.DotlockOptions{})
			if err := os.Remove(path + ".lock"); err != nil {
				t.Fatal(err)
			}
			if overridden {
				writeFile(t, path+".lock", "of another one")
			}
			if err := end(d); !errors.Is(err, filelock.ErrLost) {
				t.Errorf("err = %v, want ErrLost", err)
			}
			if got := readFile(t, path); got != "old" {
				t.Errorf("the file holds %q", got)
			}
			if overridden {
				if got := readFile(t, path+".lock"); got != "of another one" {
					t.Errorf("the lock of another one holds %q", got)
				}
			}
		}
	}
}

// What was left behind, and whether it is overridden at once.
func TestDotlockOfTheDead(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	o := startOther(t)
	dead, hour := deadPID(t), time.Hour
	for _, c := range []struct {
		name, content string
		age           time.Duration
		stale         time.Duration
		overridden    bool
	}{
		{"dead process", fmt.Sprintf("%d:%s", dead, host), 0, 0, true},
		{"dead process, with a line feed", fmt.Sprintf("%d:%s\n", dead, host), 0, hour, true},
		{"our process id, of a predecessor", fmt.Sprintf("%d:%s", os.Getpid(), host), 0, 0, true},
		{"living process", fmt.Sprintf("%d:%s", o.cmd.Process.Pid, host), 2 * hour, hour, false},
		{"another host", fmt.Sprintf("%d:%s.other", dead, host), 0, hour, false},
		{"another host, old", fmt.Sprintf("%d:%s.other", dead, host), 2 * hour, hour, true},
		{"no process id, old", "INBOX\nSent\n", 2 * hour, hour, true},
		{"no process id, never stale", "INBOX\nSent\n", 2 * hour, 0, false},
		{"empty, new", "", hour / 2, hour, false},
		{"too large a number", fmt.Sprintf("%d:%s", 1<<30, host), 0, hour, false},
	} {
		for _, excl := range []bool{true, false} {
			path := makeFile(t)
			writeFile(t, path+".lock", c.content)
			when := time.Now().Add(-c.age)
			for _, p := range []string{path, path + ".lock"} {
				if err := os.Chtimes(p, when, when); err != nil {
					t.Fatal(err)
				}
			}
			d, err := dotlock(t, &filelock.Config{DotlockExcl: excl}, path, filelock.DotlockOptions{Stale: c.stale})
			if c.overridden {
				if err != nil {
					t.Errorf("%s: %v", c.name, err)
					continue
				}
				release(t, d)
			} else if !errors.Is(err, filelock.ErrTimeout) || readFile(t, path+".lock") != c.content {
				t.Errorf("%s: err = %v, want ErrTimeout", c.name, err)
			}
			if n := names(t, path); c.overridden != (len(n) == 1) || strings.Contains(fmt.Sprint(n), ".temp") {
				t.Errorf("%s: in the directory: %q", c.name, n)
			}
		}
	}
}

// A lock that this process holds is never overridden by it, however old it is.
func TestDotlockOfOurselves(t *testing.T) {
	path := makeFile(t)
	d := mustDotlock(t, &filelock.Config{DotlockExcl: true}, path, filelock.DotlockOptions{PID: true})
	when := time.Now().Add(-time.Hour)
	for _, p := range []string{path, path + ".lock"} {
		if err := os.Chtimes(p, when, when); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := dotlock(t, &filelock.Config{}, path, filelock.DotlockOptions{Stale: time.Second}); !errors.Is(err, filelock.ErrTimeout) {
		t.Errorf("err = %v, want ErrTimeout", err)
	}
	release(t, d)
}

// A lock without a name is overridden when nothing has changed while we watched, whatever the times of the files are.
func TestDotlockWithoutChange(t *testing.T) {
	for _, touched := range []string{"", ".lock", "the file"} {
		synctest.Test(t, func(t *testing.T) {
			path := makeFile(t) // with a time in the future, as the bubble sees it
			writeFile(t, path+".lock", "data")
			start := time.Now()
			o := filelock.DotlockOptions{Suffix: ".lock", Stale: 30 * time.Second, Timeout: 2 * time.Minute}
			had := make(chan *filelock.Dotlock)
			go func() {
				d, err := (&filelock.Config{DotlockExcl: true}).Dotlock(t.Context(), path, o)
				if err != nil {
					t.Error(err)
				}
				had <- d
			}()
			time.Sleep(20 * time.Second)
			switch touched {
			case ".lock":
				writeFile(t, path+".lock", "more data")
			case "the file":
				writeFile(t, path, "changed")
			}
			want := 30 * time.Second
			if touched != "" {
				want = 50 * time.Second
			}
			d := <-had
			if took := time.Since(start); took < want || took > want+time.Second {
				t.Errorf("touched %q: overridden after %v, want %v", touched, took, want)
			}
			release(t, d)
		})
	}
}

// While we override an abandoned lock, somebody else has done so: its new lock stays.
func TestDotlockOverrideMeetsAnother(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	path, other := makeFile(t), startOther(t)
	writeFile(t, path+".lock", fmt.Sprintf("%d:%s", deadPID(t), host))
	fresh := fmt.Sprintf("%d:%s", other.cmd.Process.Pid, host)
	h := &hooks{FS: vfs.OS, overriding: func() {
		writeFile(t, path+".new", fresh)
		if err := os.Rename(path+".new", path+".lock"); err != nil {
			t.Fatal(err)
		}
	}}
	if _, err := dotlock(t, &filelock.Config{FS: h, DotlockExcl: true}, path, filelock.DotlockOptions{}); !errors.Is(err, filelock.ErrTimeout) {
		t.Errorf("err = %v, want ErrTimeout", err)
	}
	if got := readFile(t, path+".lock"); got != fresh {
		t.Errorf("the lock holds %q, want %q", got, fresh)
	}
	if n := names(t, path); len(n) != 2 {
		t.Errorf("in the directory: %q", n)
	}
}

// Many take the same lock, some of them with a Config of their own; a lock left behind is in the way at first.
func TestDotlockOneAtATime(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "subscriptions")
	writeFile(t, path+".lock", fmt.Sprintf("%d:%s", deadPID(t), host))
	var wg sync.WaitGroup
	shared := &filelock.Config{DotlockExcl: true}
	var holders, held atomic.Int32
	const each, all = 10, 8
	for i := range all {
		c := shared
		if i%2 == 0 {
			c = &filelock.Config{DotlockExcl: i%4 == 0}
		}
		wg.Go(func() {
			for range each {
				d, err := c.Dotlock(t.Context(), path, filelock.DotlockOptions{Suffix: ".lock", PID: true, Timeout: time.Minute})
				if err != nil {
					t.Error(err)
					return
				}
				held.Add(1)
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold the lock", n)
				}
				holders.Add(-1)
				if err := d.Release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := held.Load(); n != each*all {
		t.Errorf("held %d times, want %d", n, each*all)
	}
}

// TestDotlockFilled: a lock that becomes the new file is there only with its content, and nothing is there if that can not be written.
func TestDotlockFilled(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	full := errors.New("full")
	var c filelock.Config
	_, err := dotlock(t, &c, path, filelock.DotlockOptions{Fill: func(vfs.WritableFile) error { return full }})
	if left, _ := os.ReadDir(dir); !errors.Is(err, full) || len(left) > 0 {
		t.Errorf("err = %v, left over: %v", err, left)
	}
	d := mustDotlock(t, &c, path, filelock.DotlockOptions{Fill: func(f vfs.WritableFile) error {
		if _, err := os.Stat(path + ".lock"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the lock is there before its content: %v", err)
		}
		_, err := f.Write([]byte("new"))
		return err
	}})
	if b, err := os.ReadFile(path + ".lock"); string(b) != "new" {
		t.Errorf("the lock has %q, %v", b, err)
	}
	if err := d.Replace(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if left, _ := os.ReadDir(dir); string(b) != "new" || len(left) != 1 {
		t.Errorf("the file has %q, %v; in the directory: %v", b, err, left)
	}
}

// TestDotlockAppearsWithItsHolder: a process that is killed while it makes a lock leaves none that does not name it, for which everybody would wait for minutes.
func TestDotlockAppearsWithItsHolder(t *testing.T) {
	for _, excl := range []bool{true, false} {
		path := makeFile(t)
		written := false
		fsys := &hooks{FS: vfs.OS, writing: func() {
			written = true
			if n := names(t, path); slices.Contains(n, filepath.Base(path)+".lock") {
				t.Errorf("excl %v: the lock is there before it names its holder: %q", excl, n)
			}
		}}
		d := mustDotlock(t, &filelock.Config{FS: fsys, DotlockExcl: excl}, path, filelock.DotlockOptions{PID: true})
		if !written {
			t.Errorf("excl %v: nothing was written", excl)
		}
		release(t, d)
	}
}

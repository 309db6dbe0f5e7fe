package filelock_test

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/vfs"
)

var methods = []filelock.Method{filelock.MethodFcntl, filelock.MethodFlock, filelock.MethodDotlock}

func TestParseMethod(t *testing.T) {
	for _, m := range append(methods, "") {
		got, err := filelock.ParseMethod(string(m))
		if want := cmp.Or(m, filelock.MethodFcntl); got != want || err != nil {
			t.Errorf("%q: %q, %v", m, got, err)
		}
	}
	if _, err := filelock.ParseMethod("lockf"); err == nil {
		t.Error("lockf is taken")
	}
}

// makeFile makes a file with content "old" and returns its path.
func makeFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dovecot.index.log")
	if err := os.WriteFile(path, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mustLog(t *testing.T, c *filelock.Config, path string) *filelock.Log {
	t.Helper()
	l, err := c.LogWithin(t.Context(), path, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Unlock() })
	return l
}

func mustUnlock(t *testing.T, l *filelock.Log) {
	t.Helper()
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
}

// names are those in the directory of path.
func names(t *testing.T, path string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestLogExcludesOtherProcesses(t *testing.T) {
	for _, m := range methods[:2] {
		t.Run(string(m), func(t *testing.T) {
			path, o, c := makeFile(t), startOther(t), &filelock.Config{Method: m}
			o.want(t, string(m), path, "ok")
			if _, err := c.LogWithin(t.Context(), path, 0); !errors.Is(err, filelock.ErrTimeout) {
				t.Fatalf("held by another process: err = %v, want ErrTimeout", err)
			}
			o.want(t, "close", path, "ok")
			l := mustLog(t, c, path)
			// Closing another descriptor of the file drops classic locks, but not these.
			f, err := vfs.OS.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
			o.want(t, string(m), path, "busy")
			mustUnlock(t, l)
			o.want(t, string(m), path, "ok")
		})
	}
}

func TestLogExcludesWithinTheProcess(t *testing.T) {
	for _, m := range methods {
		t.Run(string(m), func(t *testing.T) {
			path := makeFile(t)
			a, b := &filelock.Config{Method: m, DotlockExcl: true}, &filelock.Config{Method: m}
			l := mustLog(t, a, path)
			for _, c := range []*filelock.Config{a, b} {
				if _, err := c.LogWithin(t.Context(), path, 0); !errors.Is(err, filelock.ErrTimeout) {
					t.Errorf("held: err = %v, want ErrTimeout", err)
				}
			}
			mustUnlock(t, l)
			mustUnlock(t, l) // once more does nothing
			mustUnlock(t, mustLog(t, b, path))
			mustUnlock(t, mustLog(t, a, path))
			if n := names(t, path); len(n) != 1 {
				t.Errorf("left behind: %q", n)
			}
		})
	}
}

func TestLogAppends(t *testing.T) {
	path := makeFile(t)
	l := mustLog(t, &filelock.Config{}, path)
	if _, err := l.File.Write([]byte("+new")); err != nil {
		t.Fatal(err)
	}
	mustUnlock(t, l)
	c, err := (&filelock.Config{}).Cache(t.Context(), path, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.File.WriteAt([]byte("O"), 0); err != nil {
		t.Fatal(err)
	}
	mustUnlock(t, c)
	if got := readFile(t, path); got != "Old+new" {
		t.Errorf("the file holds %q", got)
	}
}

func TestLogIsGone(t *testing.T) {
	for _, m := range methods {
		c := &filelock.Config{Method: m}
		if _, err := c.Log(t.Context(), filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: err = %v, want fs.ErrNotExist", m, err)
		}
	}
}

func TestLogWaits(t *testing.T) {
	for _, m := range methods {
		t.Run(string(m), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := makeFile(t)
				l := mustLog(t, &filelock.Config{FS: slow, Method: m}, path)
				var warned string
				c := &filelock.Config{FS: slow, Method: m, Warn: func(p, what string, took time.Duration) {
					if p == path || p == path+".lock" {
						warned += what + " " + took.Truncate(10*time.Second).String() + "; "
					}
				}}
				had := make(chan *filelock.Log, 1)
				go func() {
					l, err := c.Log(t.Context(), path)
					if err != nil {
						t.Error(err)
					}
					had <- l
				}()
				time.Sleep(filelock.LogTimeout - 5*time.Second)
				if len(had) != 0 {
					t.Fatal("had while it was held")
				}
				mustUnlock(t, l)
				l = <-had
				time.Sleep(time.Minute)
				mustUnlock(t, l)
				if want := "waited for the lock 2m50s; held the lock 1m0s; "; warned != want {
					t.Errorf("warned %q, want %q", warned, want)
				}
			})
		})
	}
}

// While others have a lock one waits in the kernel, in line with them; if that is given up, others get the lock.
func TestLogWaitsInLine(t *testing.T) {
	for _, m := range methods[:2] {
		t.Run(string(m), func(t *testing.T) {
			path, o, c := makeFile(t), startOther(t), &filelock.Config{Method: m}
			type result struct {
				l   *filelock.Log
				err error
			}
			lock := func(ctx context.Context) <-chan result {
				had := make(chan result, 1)
				go func() {
					l, err := c.Log(ctx, path)
					had <- result{l, err}
				}()
				blocked(t, path)
				return had
			}
			o.want(t, string(m), path, "ok")
			had := lock(t.Context())
			o.want(t, "close", path, "ok")
			r := <-had
			if r.err != nil {
				t.Fatal(r.err)
			}
			o.want(t, string(m), path, "busy")
			mustUnlock(t, r.l)

			o.want(t, string(m), path, "ok")
			ctx, cancel := context.WithCancel(t.Context())
			had = lock(ctx)
			cancel()
			if r := <-had; !errors.Is(r.err, context.Canceled) {
				t.Errorf("err = %v, want that of the context", r.err)
			}
			o.want(t, "close", path, "ok")
			o.want(t, "wait "+string(m), path, "ok")
		})
	}
}

func TestLogTimesOut(t *testing.T) {
	for _, m := range methods {
		for _, limit := range []time.Duration{0, 7 * time.Second, time.Hour} {
			synctest.Test(t, func(t *testing.T) {
				path := makeFile(t)
				defer mustLog(t, &filelock.Config{FS: slow, Method: m}, path).Unlock()
				c := &filelock.Config{FS: slow, Method: m, MaxTimeout: limit}
				start := time.Now()
				_, err := c.Log(t.Context(), path)
				want := filelock.LogTimeout
				if limit > 0 {
					want = min(want, limit)
				}
				if took := time.Since(start); !errors.Is(err, filelock.ErrTimeout) || took != want {
					t.Errorf("%s, MaxTimeout %v: %v after %v, want ErrTimeout after %v", m, limit, err, took, want)
				}
			})
		}
	}
}

func TestLogEndsWithContext(t *testing.T) {
	for _, m := range methods {
		synctest.Test(t, func(t *testing.T) {
			path := makeFile(t)
			defer mustLog(t, &filelock.Config{FS: slow, Method: m}, path).Unlock()
			c := &filelock.Config{FS: slow, Method: m}
			ctx, cancel := context.WithCancelCause(t.Context())
			why := errors.New("why")
			ended := make(chan error)
			for range 3 { // one polls, the others queue
				go func() {
					_, err := c.Log(ctx, path)
					ended <- err
				}()
			}
			synctest.Wait()
			cancel(why)
			for range 3 {
				if err := <-ended; !errors.Is(err, why) {
					t.Errorf("%s: err = %v, want that of the context", m, err)
				}
			}
			if _, err := c.Log(ctx, path); !errors.Is(err, why) {
				t.Errorf("%s: with a context that has ended: err = %v", m, err)
			}
		})
	}
}

// Another process replaces the log, or removes it, while it is waited for.
func TestLogFollowsReplacement(t *testing.T) {
	for _, gone := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			path := makeFile(t)
			old := mustLog(t, &filelock.Config{FS: slow}, path)
			type result struct {
				l   *filelock.Log
				err error
			}
			had := make(chan result, 1)
			go func() {
				l, err := (&filelock.Config{FS: slow}).Log(t.Context(), path)
				had <- result{l, err}
			}()
			synctest.Wait()
			if gone {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				mustUnlock(t, old)
				if r := <-had; !errors.Is(r.err, fs.ErrNotExist) {
					t.Errorf("removed: err = %v, want fs.ErrNotExist", r.err)
				}
				return
			}
			// As rotation does: the new one is locked before it is seen, and the old one released at last.
			next, err := vfs.OS.OpenWrite(path+".newlock", vfs.Create|vfs.Exclusive, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			if err := old.LockMore(next); err != nil {
				t.Fatal(err)
			}
			if _, err := next.Write([]byte("new")); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path+".newlock", path); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if len(had) != 0 {
				t.Fatal("had while it was held")
			}
			mustUnlock(t, old)
			r := <-had
			if r.err != nil {
				t.Fatal(r.err)
			}
			defer r.l.Unlock()
			b, err := vfs.ReadFile(vfs.OS, path, 100)
			mine, err2 := r.l.File.Stat()
			there, err3 := vfs.OS.Stat(path)
			if err := errors.Join(err, err2, err3); err != nil {
				t.Fatal(err)
			}
			if string(b) != "new" || !mine.SameFile(there) {
				t.Errorf("the old log is locked")
			}
		})
	}
}

// A new log is seen locked.
func TestAdopt(t *testing.T) {
	for _, m := range methods {
		t.Run(string(m), func(t *testing.T) {
			path, o := filepath.Join(t.TempDir(), "dovecot.index.log"), startOther(t)
			c := &filelock.Config{Method: m, DotlockExcl: true}
			d, err := c.Dotlock(t.Context(), path, filelock.DotlockOptions{Suffix: ".newlock", Timeout: filelock.LogTimeout, Stale: filelock.LogStale})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.File.Write([]byte("header")); err != nil {
				t.Fatal(err)
			}
			l, err := c.Adopt(t.Context(), path, d.Take())
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Replace(); err != nil {
				t.Fatal(err)
			}
			if _, err := c.LogWithin(t.Context(), path, 0); !errors.Is(err, filelock.ErrTimeout) {
				t.Errorf("adopted: err = %v, want ErrTimeout", err)
			}
			if m != filelock.MethodDotlock {
				o.want(t, string(m), path, "busy")
			}
			if _, err := l.File.Write([]byte("+record")); err != nil {
				t.Fatal(err)
			}
			mustUnlock(t, l)
			if got := readFile(t, path); got != "header+record" {
				t.Errorf("the log holds %q", got)
			}
			mustUnlock(t, mustLog(t, c, path))
			if n := names(t, path); len(n) != 1 {
				t.Errorf("left behind: %q", n)
			}
		})
	}
}

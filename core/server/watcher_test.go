package server

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/core/backend"
)

// fakeStorage is storage of which only the inotify instance is real.
type fakeStorage struct {
	backend.Storage // nil: its other methods must not be called
	capabilities    []string

	mu       sync.Mutex
	instance *os.File
}

// fakeWatched is a plugin with it.
type fakeWatched struct {
	fakeStorage
	onRestart func()
}

func (f *fakeWatched) Storage() backend.Storage { return &f.fakeStorage }
func (f *fakeWatched) OnRestart(fn func())      { f.onRestart = fn }

func newFakeWatched(t *testing.T) *fakeWatched {
	f := &fakeWatched{}
	f.capabilities = []string{backend.CapWatchFD}
	f.renew(t)
	return f
}

// renew replaces the inotify instance, as a restart of the plugin does.
func (f *fakeStorage) renew(t *testing.T) {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.instance != nil {
		f.instance.Close()
	}
	f.instance = os.NewFile(uintptr(fd), "inotify")
	t.Cleanup(func() { f.instance.Close() })
}

func (f *fakeStorage) watch(t *testing.T, dir string) int32 {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	wd, err := unix.InotifyAddWatch(int(f.instance.Fd()), dir, unix.IN_MODIFY|unix.IN_CREATE|unix.IN_DELETE_SELF)
	if err != nil {
		t.Fatal(err)
	}
	return int32(wd)
}

func (f *fakeStorage) Info() backend.Info {
	return backend.Info{Kind: backend.KindStorage, Capabilities: f.capabilities}
}
func (f *fakeStorage) Unwatch(context.Context, []int32) error { return nil }
func (f *fakeStorage) WatchFile(context.Context) (*os.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fd, err := unix.FcntlInt(f.instance.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "inotify"), nil
}

// recorder is what the watcher tells.
type recorder struct {
	mu     sync.Mutex
	poll   func()
	events chan string
}

func (r *recorder) SetPoll(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.poll = f
}
func (r *recorder) doPoll() {
	r.mu.Lock()
	f := r.poll
	r.mu.Unlock()
	f()
}
func (r *recorder) WatchEvent(wd int32, name string, gone bool) {
	r.events <- fmt.Sprintf("%d %s %v", wd, name, gone)
}
func (r *recorder) WatchLost() { r.events <- "lost" }

// next returns the next event.
func (r *recorder) next(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-r.events:
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	case <-t.Context().Done():
		t.Fatalf("no event, want %q", want)
	}
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWatcherTellsOfEvents(t *testing.T) {
	p, r := newFakeWatched(t), &recorder{events: make(chan string, 100)}
	w := startWatcher(p, r, slog.New(slog.DiscardHandler))
	defer w.close()
	r.next(t, "lost") // the first descriptor is here
	dir := t.TempDir()
	wd := p.watch(t, dir)
	write(t, filepath.Join(dir, "dovecot.index.log"))
	r.next(t, fmt.Sprintf("%d dovecot.index.log false", wd)) // create
	r.next(t, fmt.Sprintf("%d dovecot.index.log false", wd)) // modify
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	r.next(t, fmt.Sprintf("%d  false", wd)) // delete self
	r.next(t, fmt.Sprintf("%d  true", wd))  // ignored
}

// TestPollTellsBeforeItReturns: after a write, poll must have told of it, whoever read the descriptor.
func TestPollTellsBeforeItReturns(t *testing.T) {
	p, r := newFakeWatched(t), &recorder{events: make(chan string, 1000)}
	w := startWatcher(p, r, slog.New(slog.DiscardHandler))
	defer w.close()
	r.next(t, "lost")
	dir := t.TempDir()
	wd := p.watch(t, dir)
	for i := range 200 {
		name := fmt.Sprint("f", i)
		write(t, filepath.Join(dir, name))
		r.doPoll()
		for range 2 {
			select {
			case got := <-r.events:
				if want := fmt.Sprintf("%d %s false", wd, name); got != want {
					t.Fatalf("got %q, want %q", got, want)
				}
			default:
				t.Fatalf("write %d was not told when poll returned", i)
			}
		}
	}
}

func TestWatcherFollowsRestarts(t *testing.T) {
	p, r := newFakeWatched(t), &recorder{events: make(chan string, 100)}
	w := startWatcher(p, r, slog.New(slog.DiscardHandler))
	defer w.close()
	r.next(t, "lost")
	dir := t.TempDir()
	for range 3 {
		p.renew(t)
		p.onRestart()
		r.next(t, "lost") // the old descriptor is void
		r.next(t, "lost") // the new one is here
		wd := p.watch(t, dir)
		write(t, filepath.Join(dir, "f"))
		r.next(t, fmt.Sprintf("%d f false", wd))
		for len(r.events) > 0 {
			<-r.events
		}
		r.doPoll()
		for len(r.events) > 0 {
			<-r.events
		}
		if err := os.Remove(filepath.Join(dir, "f")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWatcherNeedsTheCapability(t *testing.T) {
	p := newFakeWatched(t)
	p.capabilities = nil // the methods are there, as those of host's storage always are
	if w := startWatcher(p, &recorder{}, slog.New(slog.DiscardHandler)); w != nil {
		t.Error("a plugin without watches is watched")
	}
}

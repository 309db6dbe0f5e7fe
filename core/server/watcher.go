package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/notifier"
)

// watches is what a watcher tells of events (mailbox.Registry).
type watches interface {
	SetPoll(f func())
	WatchEvent(wd int32, name string, gone bool)
	WatchLost()
}

var _ watches = (*mailbox.Registry)(nil)

// watched is a storage plugin as a watcher needs it (host.Plugin with its Storage).
type watched interface {
	Storage() backend.Storage
	OnRestart(f func())
}

// watcher reads the inotify descriptor of the storage plugin.
//
// Two read it: a goroutine that waits for events, so that IDLE learns of changes; and, through SetPoll, any
// command that has to know whether its mailbox is unchanged. Reading and telling happen under one lock,
// so that a command never finds the descriptor empty while the goroutine still holds an event in its hand.
//
// When the plugin was restarted, its watches are void and the descriptor is another one: everything
// is taken to be changed when the old one is lost, and once more when the new one is here, since
// mailboxes may have been opened between the two.
type watcher struct {
	storage backend.Watcher
	to      watches
	log     *slog.Logger

	mu   sync.Mutex // of reading
	file *os.File   // nil while there is none
	buf  []byte

	restart chan struct{} // one pending restart
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// startWatcher returns nil if the plugin can not be watched: mailboxes are then asked for changes.
func startWatcher(p watched, to watches, log *slog.Logger) *watcher {
	storage, ok := p.Storage().(backend.Watcher)
	if !ok || !p.Storage().Info().Has(backend.CapWatchFD) {
		return nil
	}
	w := &watcher{storage: storage, to: to, log: log, buf: make([]byte, notifier.BufferSize), restart: make(chan struct{}, 1)}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	p.OnRestart(w.restarted)
	w.restart <- struct{}{} // the first file is got as every later one
	w.wg.Go(w.run)          // ends with close
	return w
}

// close ends the watcher and returns after its goroutines have ended.
func (w *watcher) close() {
	w.cancel()
	w.drop()
	w.wg.Wait()
}

// restarted is called when a new plugin process has taken the place of a dead one.
func (w *watcher) restarted() {
	w.drop()
	w.to.WatchLost()
	select {
	case w.restart <- struct{}{}:
	default:
	}
}

// drop closes the file, which ends the goroutine that waits for it.
func (w *watcher) drop() { w.replace(nil) }

// replace makes f the file that is read, and closes the one before. Close waits for who uses the
// file, and these wait for w.mu, so it is not held then. It returns false if the watcher is closed.
func (w *watcher) replace(f *os.File) bool {
	w.mu.Lock()
	open := w.ctx.Err() == nil
	old := w.file
	if w.file = nil; open {
		w.file = f
	}
	if w.file == nil {
		w.to.SetPoll(nil) // until there is another, nothing is known to be unchanged
	} else {
		w.to.SetPoll(w.poll)
	}
	w.mu.Unlock()
	if old != nil {
		old.Close()
	}
	return open
}

// uses reports whether f is still the file that is read.
func (w *watcher) uses(f *os.File) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.file == f
}

// retryInterval is the pause between two failed attempts to get a descriptor.
const retryInterval = time.Second

// run gets a descriptor, and the next one after each restart.
func (w *watcher) run() {
	var retry <-chan time.Time
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-w.restart:
		case <-retry:
		}
		retry = nil
		if err := w.open(); err != nil && w.ctx.Err() == nil {
			w.log.Warn("storage gives no watch descriptor, trying again", "error", err)
			retry = time.After(retryInterval)
		}
	}
}

// open asks the plugin for its descriptor and starts to read it.
func (w *watcher) open() error {
	got, err := w.storage.WatchFile(w.ctx)
	if err != nil {
		return err
	}
	f, err := pollable(got)
	if err != nil {
		return err
	}
	if !w.replace(f) {
		return f.Close()
	}
	w.to.WatchLost()
	w.wg.Go(func() { w.wait(f) }) // ends when f is closed
	return nil
}

// pollable returns the file as one that the runtime's poller can wait for, and closes the given one.
func pollable(f *os.File) (*os.File, error) {
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, dupErr := -1, error(nil)
	err = raw.Control(func(old uintptr) {
		fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err = errors.Join(err, dupErr); err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// wait tells of events until the file is closed.
func (w *watcher) wait(f *os.File) {
	raw, err := f.SyscallConn()
	if err != nil {
		return // closed already
	}
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		failed = w.drain(int(fd))
		return failed != nil // else wait for more
	})
	if err = errors.Join(err, failed); err != nil && w.uses(f) {
		w.log.Error("reading the watch descriptor failed", "error", err)
		w.to.WatchLost()
	}
}

// poll tells of all events that the kernel has queued by now. It does not wait for any.
func (w *watcher) poll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file == nil {
		return
	}
	raw, err := w.file.SyscallConn()
	if err != nil {
		return
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = w.drain(int(fd)) }); err != nil {
		return // closed meanwhile: restarted tells that everything is lost
	}
	if failed != nil {
		w.log.Error("reading the watch descriptor failed", "error", failed)
		w.to.WatchLost()
	}
}

// drain reads until nothing is left. w.mu is held.
func (w *watcher) drain(fd int) error {
	for {
		n, err := unix.Read(fd, w.buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return nil
		case err != nil:
			return fmt.Errorf("inotify: %w", err)
		case n <= 0:
			return errors.New("inotify: end of file")
		}
		if err := w.tell(w.buf[:n]); err != nil {
			return err
		}
	}
}

func (w *watcher) tell(events []byte) error {
	for len(events) > 0 {
		e, rest, err := notifier.Next(events)
		if err != nil {
			return err
		}
		events = rest
		if e.Lost() {
			w.to.WatchLost()
			continue
		}
		w.to.WatchEvent(e.Watch, string(e.Name), e.Mask&(notifier.Ignored|notifier.Unmount) != 0)
	}
	return nil
}

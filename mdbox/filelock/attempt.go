package filelock

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/roostmail/roost/mdbox/vfs"
)

// attempt is a lock being waited for. It ends with had, or fail.
type attempt struct {
	c      *Config
	path   string
	ctx    context.Context // ends with ErrTimeout as its cause when the time is over
	cancel context.CancelFunc
	leave  func() // the queue
	since  time.Time
	pause  time.Duration // the last one
}

// begin waits for the turn of the caller. The time to wait counts from here; with 0 a lock is tried once.
func (c *Config) begin(ctx context.Context, path string, timeout time.Duration) (*attempt, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s: lock: %w", path, context.Cause(ctx))
	}
	if c.MaxTimeout > 0 {
		timeout = min(timeout, c.MaxTimeout)
	}
	a := &attempt{c: c, path: path, since: time.Now()}
	a.ctx, a.cancel = context.WithTimeoutCause(ctx, timeout, ErrTimeout)
	var err error
	if a.leave, err = c.queues.enter(a.ctx, filepath.Clean(path)); err != nil {
		a.leave = func() {}
		return nil, a.fail(err)
	}
	return a, nil
}

// The pauses between two looks at a lock.
const (
	firstPause   = 200 * time.Microsecond
	lockPause    = 10 * time.Millisecond  // the longest for a lock on an open file, which costs a system call
	dotlockPause = 100 * time.Millisecond // the longest for a dotlock, which costs several
)

// wait pauses before the next look, or says why there is none.
func (a *attempt) wait(longest time.Duration) error {
	a.pause = min(max(firstPause, a.pause*3/2), longest)
	t := time.NewTimer(a.pause/2 + rand.N(a.pause))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-a.ctx.Done():
		return context.Cause(a.ctx)
	}
}

// lock waits for the lock on f. On an error f is to be closed.
func (a *attempt) lock(f vfs.WritableFile) error {
	kind := a.c.Method.kind()
	if ok, err := f.TryLock(kind); ok || err != nil {
		return err
	}
	if err := a.lockInLine(f, kind); !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	for {
		if err := a.wait(lockPause); err != nil {
			return err
		}
		if ok, err := f.TryLock(kind); ok || err != nil {
			return err
		}
	}
}

// maxInLine is how many threads of the process may wait for locks in the kernel. The others poll.
const maxInLine = 64

var inLine = make(chan struct{}, maxInLine)

// lockInLine waits for the lock in the kernel, as Dovecot does: when many processes want a lock all the time, it is handed
// on to those who wait, and hardly ever free when somebody looks. The wait can not be broken off: if the time is over,
// it goes on until the lock is had, and as f is closed by then, so is the lock released. The error is
// errors.ErrUnsupported if f can not wait, or too many do.
func (a *attempt) lockInLine(f vfs.WritableFile, kind vfs.LockKind) error {
	w, ok := f.(vfs.LockWaiter)
	if !ok {
		return errors.ErrUnsupported
	}
	if a.ctx.Err() != nil {
		return context.Cause(a.ctx)
	}
	select {
	case inLine <- struct{}{}:
	default:
		return errors.ErrUnsupported
	}
	had := make(chan error, 1)
	go func() { // ends when the lock is had
		had <- w.WaitLock(kind)
		<-inLine
	}()
	select {
	case err := <-had:
		return err
	case <-a.ctx.Done():
		return context.Cause(a.ctx)
	}
}

// fail ends the attempt with err.
func (a *attempt) fail(err error) error {
	a.cancel()
	a.leave()
	a.warn("waited for the lock", a.since)
	return fmt.Errorf("%s: lock: %w", a.path, err)
}

// had ends the attempt: the lock was had.
func (a *attempt) had() hold {
	a.cancel()
	a.warn("waited for the lock", a.since)
	return hold{attempt: a, since: time.Now()}
}

func (a *attempt) warn(what string, since time.Time) {
	if took := time.Since(since); took >= WarnAfter && a.c.Warn != nil {
		a.c.Warn(a.path, what, took)
	}
}

// hold is a lock that is held.
type hold struct {
	*attempt
	since time.Time
}

// end lets the next one have its turn, after the lock was released.
func (h hold) end() {
	h.leave()
	h.warn("held the lock", h.since)
}

package filelock

import (
	"context"
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

// The pauses between two looks at a lock. A lock on an open file costs a system call of a microsecond, and Dovecot,
// which sleeps in the kernel, gets it the moment it is free: so look often. A dotlock costs several.
const (
	firstPause   = 200 * time.Microsecond
	lockPause    = 10 * time.Millisecond  // the longest for a lock on an open file
	dotlockPause = 100 * time.Millisecond // the longest for a dotlock
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

// lock waits for the lock on f.
func (a *attempt) lock(f vfs.WritableFile) error {
	for {
		ok, err := f.TryLock(a.c.Method.kind())
		if ok || err != nil {
			return err
		}
		if err := a.wait(lockPause); err != nil {
			return err
		}
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

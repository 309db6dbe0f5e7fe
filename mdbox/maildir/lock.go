package maildir

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/vfs"
)

// How long Dovecot waits for dovecot-uidlist.lock and dovecot-keywords.lock, when it takes them for abandoned, and how often their
// holder touches them.
const (
	lockStale   = 120 * time.Second
	lockTimeout = lockStale + 2*time.Second
	touchEvery  = 10 * time.Second
)

const lockSuffix = ".lock"

// Locked is a Mailbox whose dovecot-uidlist.lock this process holds: no other server changes it. Its methods are for one
// goroutine at a time.
type Locked struct {
	m        *Mailbox
	ctx      context.Context
	lock     *filelock.Dotlock
	info     vfs.Info // of the lock file
	touched  time.Time
	keywords Keywords
	failed   error // of an earlier step
}

// Lock takes dovecot-uidlist.lock. Errors: filelock.ErrTimeout, that of ctx, index.ErrDeleted if the mailbox is gone.
func (m *Mailbox) Lock(ctx context.Context) (*Locked, error) {
	o := filelock.DotlockOptions{Suffix: lockSuffix, Timeout: lockTimeout, Stale: lockStale, PID: true, Perm: m.perm}
	d, err := m.c.Lock.Dotlock(ctx, m.uidlistPath(), o)
	if err != nil {
		return nil, fmt.Errorf("maildir: lock %s: %w", m.dirs.Mail, deletedError(err))
	}
	l := &Locked{m: m, ctx: ctx, lock: d, touched: m.c.now()}
	if l.info, err = d.File.Stat(); err != nil {
		return nil, errors.Join(fmt.Errorf("maildir: lock %s: %w", m.dirs.Mail, err), d.Release())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := l.finishMoves(); err != nil { // it is left for the next one
		m.c.report(fmt.Errorf("maildir: %s: moves that were begun: %w", m.dirs.Mail, err))
	}
	err = m.readList()
	if err == nil {
		l.keywords, err = m.readKeywords()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("maildir: lock %s: %w", m.dirs.Mail, err), d.Release())
	}
	return l, nil
}

// Unlock releases the lock. If it is lost, it may have moved with the directory of a mailbox that was renamed: it is removed if it is in
// one of the directories that Config.Places returns. Otherwise others would wait for it, since its process is alive.
func (l *Locked) Unlock() error {
	err := l.lock.Release()
	if !errors.Is(err, filelock.ErrLost) || l.m.c.Places == nil {
		return err
	}
	for _, dir := range l.m.c.Places() {
		path := filepath.Join(dir, uidlistName+lockSuffix)
		if st, statErr := l.m.c.fs().Stat(path); statErr == nil && st.SameFile(l.info) {
			return l.m.c.fs().Remove(path)
		}
	}
	return err
}

// fail makes an error of err, and the lock unusable: what is in memory need not be what is on disk. m.mu is held.
func (l *Locked) fail(what string, err error) error {
	m := l.m
	m.files, m.list, m.listInfo = nil, nil, vfs.Info{}
	l.failed = fmt.Errorf("maildir: %s %s: %w", what, m.dirs.Mail, deletedError(err))
	return l.failed
}

// touch keeps the lock from looking abandoned. It is called between steps that take long together.
func (l *Locked) touch() error {
	now := l.m.c.now()
	if now.Sub(l.touched) < touchEvery {
		return nil
	}
	l.touched = now
	if err := l.lock.Check(); err != nil {
		return err
	}
	return l.lock.File.SetMtime(now.UnixNano())
}

// deletedError adds index.ErrDeleted to the error of a directory that is gone.
func deletedError(err error) error {
	if isMissing(err) {
		return fmt.Errorf("%w: %w", index.ErrDeleted, err)
	}
	return err
}

package mdbox

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/translog"
)

// sizeSum keeps the sum of the sizes of a mailbox's messages, hdr-vsize, right over a change. Dovecot counts quotas with it. Who
// can not do so leaves it alone: the next Dovecot that needs it sees that it is of other messages, and counts again.
type sizeSum struct {
	lock  *filelock.File    // VSIZE
	sizes map[uint32]uint64 // of the messages that are to be expunged, by UID
}

// sizeTimeout is how long VSIZE is waited for by who needs the sum (dovecot src/lib-storage/index/index-mailbox-size.c,
// VSIZE_LOCK_TIMEOUT_SECS).
const sizeTimeout = 10 * time.Second

// changedSum returns the sum of a mailbox that is to be changed, or nil if it has none.
func (b *Mailbox) changedSum(expunge []uint32) *sizeSum {
	b.mu.Lock()
	s, err := b.refresh()
	kept := false
	if err == nil {
		_, kept = s.VSize()
	}
	b.mu.Unlock()
	if !kept {
		return nil
	}
	sum := &sizeSum{sizes: map[uint32]uint64{}}
	if len(expunge) > 0 && sum.measure(b, expunge) != nil {
		return nil
	}
	return sum
}

// take takes VSIZE, which comes before BOX, if nobody else has it. s may be nil.
func (s *sizeSum) take(ctx context.Context, b *Mailbox) bool {
	if s == nil {
		return false
	}
	path, err := b.sizeLockPath()
	if err == nil {
		s.lock, err = b.lockSizeFile(ctx, path, 0)
	}
	if err != nil {
		if !errors.Is(err, filelock.ErrTimeout) && ctx.Err() == nil {
			b.store.report("lock the sum of sizes of "+b.name, err)
		}
		return false
	}
	return true
}

// lockSizeFile takes VSIZE.
func (b *Mailbox) lockSizeFile(ctx context.Context, path string, timeout time.Duration) (*filelock.File, error) {
	p, err := b.store.permissions(b.dir)
	if err != nil {
		return nil, err
	}
	return b.store.locks.File(ctx, path, timeout, p.File)
}

// sizeLockPath is where dovecot-vsize.lock is: beside the index, or under a name of its own in the volatile directory.
func (b *Mailbox) sizeLockPath() (string, error) {
	const name = "dovecot-vsize.lock"
	l := &b.store.location
	if !l.Volatile {
		return filepath.Join(b.Dir(), name), nil
	}
	if _, err := b.store.options.FS.Stat(l.VolatileDir); errors.Is(err, fs.ErrNotExist) {
		return "", filelock.ErrTimeout // nobody has used it yet, and it is made with the next change of the tree
	}
	sum := sha1.Sum([]byte(b.storageName()))
	return filepath.Join(l.VolatileDir, name+"."+hex.EncodeToString(sum[:])), nil
}

// measure finds out the sizes of messages.
func (s *sizeSum) measure(b *Mailbox, uids []uint32) error {
	ms, err := b.Messages(uids)
	if err != nil {
		return err
	}
	defer ms.Close()
	for ms.Next() {
		n, err := ms.Message().Size()
		if err != nil {
			return err
		}
		s.sizes[ms.Message().UID()] = n
	}
	return ms.Err()
}

// release gives VSIZE back. s may be nil.
func (s *sizeSum) release(b *Mailbox) {
	if s != nil {
		b.store.report("unlock the sum of sizes of "+b.name, s.lock.Release())
	}
}

// sizeRecords returns what to commit together with expunges and appends, so that the sum stays right.
func (l *lockedBox) sizeRecords(expunged translog.ExpungeGUIDs, appended []index.SizedMessage) []translog.NewRecord {
	if l.sum == nil {
		return nil
	}
	gone := make([]index.SizedMessage, len(expunged))
	for i, e := range expunged {
		n, known := l.sum.sizes[e.UID]
		if !known {
			return nil // another session asked for its expunge
		}
		gone[i] = index.SizedMessage{UID: e.UID, Size: n}
	}
	h, changed := l.x.State().VSizeAfter(gone, appended)
	if !changed {
		return nil
	}
	return l.x.VSizeUpdate(h)
}

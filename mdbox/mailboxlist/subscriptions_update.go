package mailboxlist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/vfs"
)

// Timeouts of subscriptions.lock (dovecot src/lib-storage/list/subscription-file.c, SUBSCRIPTION_FILE_LOCK_TIMEOUT and …CHANGE_TIMEOUT).
const (
	subscriptionsTimeout = 120 * time.Second
	subscriptionsStale   = 30 * time.Second
)

// SubscriptionsFile is the file subscriptions of a store.
type SubscriptionsFile struct {
	FS    vfs.FS
	Path  string
	Locks *filelock.Config
	Perm  vfs.Perm // of a new file; every change makes one
	Fsync bool     // a change is durable when Set returns
	Sep   byte     // separates the levels in version 1: '.' in Maildir++, else '/'
}

// Set adds a storage name (levels separated by '/') to the subscriptions, or removes it, and reports whether that
// changed the file. Everything else in the file, readable or not, stays as it is. The new file is written to subscriptions.lock, which
// keeps other writers away, and takes the place of the old one.
func (f *SubscriptionsFile) Set(ctx context.Context, name string, subscribed bool) (changed bool, err error) {
	lock, err := f.Locks.Dotlock(ctx, f.Path, filelock.DotlockOptions{
		Timeout: subscriptionsTimeout, Stale: subscriptionsStale, Suffix: ".lock", Perm: f.Perm})
	if err != nil {
		return false, fmt.Errorf("mailboxlist: lock subscriptions: %w", err)
	}
	changed, err = f.write(lock.File, name, subscribed)
	if err != nil || !changed {
		return false, errors.Join(err, lock.Release())
	}
	if err := lock.Replace(); err != nil {
		return false, fmt.Errorf("mailboxlist: replace subscriptions: %w", err)
	}
	return true, nil
}

// write writes the changed subscriptions to the new file, if they change.
func (f *SubscriptionsFile) write(to vfs.WritableFile, name string, subscribed bool) (changed bool, err error) {
	old, err := vfs.ReadFile(f.FS, f.Path, DefaultMaxSubscriptions)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("mailboxlist: read subscriptions: %w", err)
	}
	b, changed := setSubscribed(old, name, f.Sep, subscribed)
	if !changed {
		return false, nil
	}
	if len(b) > DefaultMaxSubscriptions {
		return false, fmt.Errorf("mailboxlist: %s would be larger than %d bytes: %w", f.Path, DefaultMaxSubscriptions, vfs.ErrTooLarge)
	}
	if _, err := to.Write(b); err != nil {
		return false, fmt.Errorf("mailboxlist: write subscriptions: %w", err)
	}
	if !f.Fsync {
		return true, nil
	}
	return true, to.Sync()
}

// setSubscribed returns the content of the file with a name added at its end, or removed. It keeps the version of b.
func setSubscribed(b []byte, name string, sep byte, subscribed bool) (res []byte, changed bool) {
	body, v2 := bytes.CutPrefix(b, []byte(subscriptionsV2))
	if len(b) == 0 {
		v2 = true
		res = append(res, subscriptionsV2...)
	}
	res = append(res, b[:len(b)-len(body)]...)
	found := false
	for len(body) > 0 {
		line, rest, _ := bytes.Cut(body, []byte{'\n'})
		body = rest
		// Who edits the file may spell INBOX otherwise.
		if line := cutCR(line); sameSubscription(line, name, sep, v2) || !subscribed && name == Inbox && strings.EqualFold(string(line), Inbox) {
			found = true
			if !subscribed {
				continue
			}
		}
		res = append(append(res, line...), '\n')
	}
	if found == subscribed {
		return b, false
	}
	if subscribed {
		res = append(appendSubscription(res, name, sep, v2), '\n')
	}
	return res, true
}

// sameSubscription reports whether a line is that of a name.
func sameSubscription(line []byte, name string, sep byte, v2 bool) bool {
	return v2 && string(appendLevels(nil, name)) == string(line) || !v2 && levels(line, sep) == name
}

func appendSubscription(b []byte, name string, sep byte, v2 bool) []byte {
	if v2 {
		return appendLevels(b, name)
	}
	return append(b, strings.ReplaceAll(name, "/", string(sep))...)
}

// Repair keeps the lines that can be read of a damaged file, and reports whether there were others. The file has version 2 then.
func (f *SubscriptionsFile) Repair(ctx context.Context) (changed bool, err error) {
	lock, err := f.Locks.Dotlock(ctx, f.Path, filelock.DotlockOptions{
		Timeout: subscriptionsTimeout, Stale: subscriptionsStale, Suffix: ".lock", Perm: f.Perm})
	if err != nil {
		return false, fmt.Errorf("mailboxlist: lock subscriptions: %w", err)
	}
	old, err := vfs.ReadFile(f.FS, f.Path, DefaultMaxSubscriptions)
	if err == nil {
		if _, damaged := DecodeSubscriptions(old, f.Sep); damaged == nil {
			return false, lock.Release()
		}
		if _, err = lock.File.Write(readableSubscriptions(old, f.Sep).Append(nil, f.Sep)); err == nil && f.Fsync {
			err = lock.File.Sync()
		}
	}
	if err != nil {
		return false, errors.Join(fmt.Errorf("mailboxlist: repair subscriptions: %w", err), lock.Release())
	}
	return true, lock.Replace()
}

// readableSubscriptions returns the names of the lines that can be read, as version 2.
func readableSubscriptions(b []byte, sep byte) *Subscriptions {
	s := &Subscriptions{Version: 2}
	body, v2 := bytes.CutPrefix(b, []byte(subscriptionsV2))
	for _, line := range bytes.Split(body, []byte{'\n'}) {
		name, ok := unescapeLevels(cutCR(line))
		if !v2 {
			name = levels([]byte(name), sep)
		}
		if ok && name != "" && !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
			s.Names = append(s.Names, name)
		}
	}
	return s
}

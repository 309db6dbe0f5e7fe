package mdbox

import (
	"context"
	"errors"
	"testing"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mapindex"
)

// CountAllReferences counts the references to each message of the store's map, and to those that mailboxes refer to.
func CountAllReferences(t testing.TB, s *Store) map[mapindex.UID]int {
	t.Helper()
	counts := map[mapindex.UID]int{}
	m, err := mapindex.Open(s.location.mapDir(), index.Options{FS: s.options.FS})
	if err != nil {
		t.Fatal(err)
	}
	m.All(func(uid mapindex.UID, _ mapindex.Entry, _ error) bool { counts[uid] = 0; return true })
	list, _, err := s.Mailboxes()
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range list {
		if info.NoSelect || info.NonExistent {
			continue
		}
		b, err := s.OpenMailbox(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.index.Refresh(); err != nil {
			t.Fatal(err)
		}
		c := newRecordColumns(b.index.State())
		for i := range b.index.State().Len() {
			counts[c.record(i).mapUID]++
		}
	}
	return counts
}

// RecountReferences makes the reference counts of the map those that the mailboxes have.
func RecountReferences(s *Store) error {
	return s.withMap(context.Background(), func(m *lockedMap) error { return s.recountAll(context.Background(), m) })
}

// LockMailbox locks a mailbox until unlock is called.
func LockMailbox(t testing.TB, b *Mailbox) (unlock func()) {
	t.Helper()
	l, err := b.lock(t.Context(), [16]byte{})
	if err != nil {
		t.Fatal(err)
	}
	return l.unlock
}

// LookupMap looks a message up in the map as it is now.
func LookupMap(t testing.TB, s *Store, uid mapindex.UID) (mapindex.Entry, bool, error) {
	t.Helper()
	m, err := mapindex.Open(s.location.mapDir(), index.Options{FS: s.options.FS})
	if err != nil {
		t.Fatal(err)
	}
	return m.Lookup(uid)
}

// SizeSum returns the sum of sizes that the index keeps, and whether it is of all messages.
func SizeSum(b *Mailbox) (sum uint64, kept bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := b.refresh()
	if err != nil {
		return 0, false
	}
	h, kept := s.VSize()
	return h.VSize, kept && int(h.MessageCount) == s.Len()
}

// TouchMap takes the lock MAP, and does what whoever takes it first does.
func TouchMap(s *Store) error {
	return s.withMap(context.Background(), func(*lockedMap) error { return nil })
}

// AppendTogether makes an Append of each message that is committed with the others, or none if one can not be written.
func AppendTogether(ctx context.Context, b *Mailbox, messages ...NewMessage) (saved []*Saved, err error) {
	var group []*appending
	for _, m := range messages {
		a := b.appending(ctx)
		group = append(group, a)
		if err = a.write(ctx, []NewMessage{m}); err != nil {
			break
		}
	}
	if err == nil {
		commitGroup(ctx, group)
	}
	for _, a := range group {
		if err = errors.Join(err, a.err); err == nil {
			saved = append(saved, a.saved)
		}
	}
	if err != nil {
		for _, a := range group {
			err = errors.Join(err, a.saver.abort()) // does nothing to those that were saved
		}
	}
	return saved, err
}

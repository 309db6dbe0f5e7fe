package mdbox

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// FlagMode says what ChangeFlags does.
type FlagMode uint8

// Flag modes.
const (
	ReplaceFlags FlagMode = iota // flags and keywords become those given
	AddFlags
	RemoveFlags
)

// AnyModSeq is FlagChange.UnchangedSince without condition.
const AnyModSeq uint64 = math.MaxUint64

// FlagChange is a change of flags and keywords.
type FlagChange struct {
	Mailbox  [16]byte // GUID that the mailbox must have; zero: any
	UIDs     []uint32 // ascending; those that do not exist are ignored
	Mode     FlagMode
	Flags    uint8    // as in package index, without private ones
	Keywords []string // names
	// UnchangedSince protects messages with a higher modseq (RFC 7162 §3.1.3). Anything but AnyModSeq gives the mailbox modseqs of
	// its messages, if it has none.
	UnchangedSince uint64
	Protected      Protected
}

// Protected are flags that are left as they are, whatever else is asked for.
type Protected struct {
	Flags    uint8
	Keywords bool // all of them
}

// ChangeFlags changes flags and keywords, and returns the UIDs that UnchangedSince protected. Messages that have the wanted flags
// already keep their modseq, and if all have them the mailbox is not locked. Flags are not synced but by FsyncAlways, as with Dovecot.
func (b *Mailbox) ChangeFlags(ctx context.Context, c FlagChange) (modified []uint32, err error) {
	if c.UnchangedSince == AnyModSeq && b.hasFlags(&c) {
		return nil, nil
	}
	l, err := b.lock(ctx, c.Mailbox)
	if err != nil {
		return nil, err
	}
	defer l.unlock()
	if c.UnchangedSince != AnyModSeq {
		if err := l.x.Commit(false, l.x.EnableModSeqs()...); err != nil {
			return nil, err
		}
	}
	w := newFlagWriter(l.x.State(), &c)
	for i := range located(w.s, slices.Values(c.UIDs)) {
		if c.UnchangedSince != AnyModSeq && w.s.ModSeq(i) > c.UnchangedSince {
			modified = append(modified, w.s.UIDs()[i])
			continue
		}
		w.message(i)
	}
	records := w.records()
	if len(records) == 0 {
		return modified, nil
	}
	if err := l.commitDone(records); err != nil {
		return nil, fmt.Errorf("mdbox: change flags in %s: %w", b.name, err)
	}
	l.finish()
	return modified, nil
}

// hasFlags reports whether a change without condition would change nothing, as far as can be told without the lock.
func (b *Mailbox) hasFlags(c *FlagChange) bool {
	if b.store.options.Write == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := b.refreshFlags()
	if err != nil || b.usable(s, c.Mailbox) != nil {
		return false
	}
	w := newFlagWriter(s, c)
	for i := range located(s, slices.Values(c.UIDs)) {
		if w.message(i); len(w.records()) > 0 {
			return false
		}
	}
	return true
}

// EnableModSeqs gives the messages of a mailbox modseqs of their own, if they have none, as the first client does that wants them
// (log.md §6; dovecot mail-index-modseq.c, mail_index_modseq_enable).
func (b *Mailbox) EnableModSeqs(ctx context.Context, guid [16]byte) (err error) {
	l, err := b.lock(ctx, guid)
	if err != nil {
		return err
	}
	defer l.unlock()
	if err := l.x.Commit(false, l.x.EnableModSeqs()...); err != nil {
		return err
	}
	l.finish()
	return nil
}

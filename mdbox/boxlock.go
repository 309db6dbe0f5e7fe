package mdbox

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/maildir"
	"github.com/roostmail/roost/mdbox/mapindex"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// lockedBox is a mailbox while this process holds the lock of its log (BOX), and this goroutine Mailbox.mu.
type lockedBox struct {
	b   *Mailbox
	x   *index.Locked
	sum *sizeSum // nil: hdr-vsize is left as it is
	// outer is the lock of a maildir, which comes before BOX; nil in other formats.
	outer    *maildir.Locked
	replaces *leaving // what goes with the messages that come next; nil = nothing
	deletes  bool     // the mailbox is being deleted: TREE is held, so that its name stays its own
	claims   bool     // the messages that come next, and all that are \Recent for the next session, are claimed with them
}

// lock takes BOX and brings the mailbox up to date. If guid is not zero, the mailbox must have it. Errors are
// ErrNotFound, ErrReadOnly, filelock.ErrTimeout, or a *vfs.CorruptError for an index that may not be changed as it is.
func (b *Mailbox) lock(ctx context.Context, guid [16]byte) (*lockedBox, error) {
	return b.lockWith(ctx, guid, nil)
}

// lockWith is lock that also takes VSIZE for sum, which may be nil, if nobody else has it. It comes after the lock of a maildir, which Dovecot
// holds while it waits for VSIZE, and before BOX.
func (b *Mailbox) lockWith(ctx context.Context, guid [16]byte, sum *sizeSum) (*lockedBox, error) {
	w, err := b.writing()
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	l := &lockedBox{b: b}
	if l.outer, err = b.store.format.lock(ctx, b); err != nil {
		sum = nil
	} else {
		if !sum.take(ctx, b) {
			sum = nil
		}
		l.x, err = b.index.Lock(ctx, w)
	}
	if err == nil && l.outer != nil {
		err = l.syncLocked()
	}
	l.sum = sum
	if err != nil {
		l.unlock()
		if errors.Is(err, index.ErrDeleted) {
			return nil, fmt.Errorf("%w: %s: %w", ErrNotFound, b.name, err)
		}
		return nil, fmt.Errorf("mdbox: lock mailbox %s: %w", b.name, err)
	}
	if err := l.check(guid); err != nil {
		l.unlock()
		return nil, err
	}
	return l, nil
}

// lockSized is lock for a change that may also concern the sum of the sizes of messages. expunge are those that are to be expunged.
func (b *Mailbox) lockSized(ctx context.Context, guid [16]byte, expunge []uint32) (*lockedBox, error) {
	if b.store.options.Write == nil {
		return nil, ErrReadOnly
	}
	return b.lockWith(ctx, guid, b.changedSum(expunge))
}

// lockSum is lock for a change of the sum of the sizes of messages, if it can be had at once.
func (b *Mailbox) lockSum(ctx context.Context, guid [16]byte) (*lockedBox, error) {
	return b.lockSized(ctx, guid, nil)
}

// check refuses a mailbox that is not the wanted one, not complete, or damaged.
func (l *lockedBox) check(guid [16]byte) error {
	if l.b.Moved() {
		return fmt.Errorf("%w: %s is another mailbox now", ErrNotFound, l.b.name)
	}
	return l.b.usable(l.x.State(), guid)
}

// usable is check for the state s of a mailbox that may not be locked.
func (b *Mailbox) usable(s *index.State, guid [16]byte) error {
	switch {
	case guid != [16]byte{} && b.guid(s) != guid:
		return fmt.Errorf("%w: %s is another mailbox now", ErrNotFound, b.name)
	case s.UIDValidity() == 0:
		return fmt.Errorf("%w: %s", ErrNotInitialised, b.name)
	}
	if problems, _ := b.index.Damage(); len(problems) > 0 {
		return fmt.Errorf("mdbox: mailbox %s is damaged: %w", b.name, problems[0])
	}
	return nil
}

// checkMap refuses a mailbox that does not belong to the locked map.
func (l *lockedBox) checkMap(m *mapindex.Locked) error {
	if h := l.b.header(l.x.State()); h.MapUIDValidity != m.Map().UIDValidity() {
		return l.corrupt("the mailbox belongs to the map with UIDVALIDITY %d, which has %d", h.MapUIDValidity, m.Map().UIDValidity())
	}
	return nil
}

func (l *lockedBox) corrupt(rule string, args ...any) error {
	return vfs.At(vfs.Corrupt(0, rule, args...), filepath.Join(l.b.Dir(), index.DefaultPrefix), 0)
}

// unlock gives BOX and Mailbox.mu back.
func (l *lockedBox) unlock() {
	if l.x != nil {
		l.b.store.report("unlock mailbox "+l.b.name, l.x.Unlock())
	}
	if l.outer != nil {
		l.b.store.report("unlock mailbox "+l.b.name, l.outer.Unlock())
	}
	l.b.mu.Unlock()
	l.sum.release(l.b)
}

// requested returns the UIDs that other sessions asked to have expunged, which are still there.
func (l *lockedBox) requested() ([]uint32, error) {
	requests, err := l.x.Requests()
	if err != nil {
		return nil, err
	}
	uids := make([]uint32, len(requests))
	for i, r := range requests {
		uids[i] = r.UID
	}
	return uids, nil
}

// expunge carries out the expunge of messages, ascending by UID, which must include all that requested returns: they leave the
// mailbox, durably, then their references are given back in the map. (spec: dovecot mdbox-sync.c)
//
// A message whose reference can not be found loses nothing but its record, which is reported.
func (l *lockedBox) expunge(m *mapindex.Locked, uids []uint32) error {
	if len(uids) == 0 {
		return nil
	}
	refs, gone := l.expunged(uids)
	if err := l.removeRecords(gone); err != nil {
		return err
	}
	l.giveBack(m, refs)
	return nil
}

// giveBack gives back references that mailboxes had. If that fails the messages only stay longer than they need to: until references are
// counted again.
func (l *lockedBox) giveBack(m *mapindex.Locked, refs []mapindex.UID) {
	missing, err := m.AddReferences(refs, -1)
	if err != nil {
		l.b.store.recount.Store(true)
		l.b.store.report("give back references", err)
	}
	for _, uid := range missing {
		l.b.store.options.Report(fmt.Errorf("mdbox: mailbox %s: expunged a message whose map UID %d had no reference left", l.b.name, uid))
	}
}

// expunged returns the map UIDs of messages, one for each, and the records of their removal.
func (l *lockedBox) expunged(uids []uint32) (refs []mapindex.UID, gone translog.ExpungeGUIDs) {
	s := l.x.State()
	c := newRecordColumns(s)
	for _, uid := range uids {
		i, found := s.Find(uid)
		if !found {
			continue
		}
		r := c.record(i)
		gone = append(gone, translog.ExpungeGUID{UID: uid, GUID: r.guid})
		if r.mapUID == 0 || r.guid == (dbox.GUID{}) {
			l.b.store.options.Report(fmt.Errorf("mdbox: mailbox %s: expunged message %d, which has no map UID or GUID", l.b.name, uid))
			continue
		}
		refs = append(refs, r.mapUID)
	}
	return refs, gone
}

// removeRecords removes messages from the index, durably.
func (l *lockedBox) removeRecords(gone translog.ExpungeGUIDs) error {
	if len(gone) == 0 {
		return nil
	}
	records := append([]translog.NewRecord{external(gone)}, l.sizeRecords(gone, nil)...)
	if err := l.x.Commit(true, records...); err != nil {
		return fmt.Errorf("mdbox: expunge from %s: %w", l.b.name, err)
	}
	return nil
}

// commitDone commits records of what is no request, not durably, and notes in the same write that everything in the log was carried out, if it is so.
func (l *lockedBox) commitDone(records []translog.NewRecord) error {
	if l.outer == nil {
		if err := l.x.CommitDone(false, records...); !errors.Is(err, index.ErrRequests) {
			return err
		}
	}
	return l.x.Commit(false, records...)
}

// finish notes that everything in the log was carried out, and lets the index be rewritten if it is time for that.
// A mailbox with requests that are still waiting is left as it is: whoever syncs it next does it, as he does when this fails.
func (l *lockedBox) finish() {
	var err error
	if l.outer != nil {
		err = l.syncLocked()
	} else {
		err = l.x.CommitTail()
	}
	if err == nil {
		err = l.x.Maintain()
	}
	if !errors.Is(err, index.ErrRequests) {
		l.b.store.report("finish a change of mailbox "+l.b.name, err)
	}
}

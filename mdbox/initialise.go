package mdbox

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/translog"
)

// newMailbox is a mailbox before its index is made.
type newMailbox struct {
	name    string
	guid    [16]byte // zero: any
	boxName []byte   // header of the extension box-name, with LayoutIndex
	former  index.Former

	uidValidity uint32
	ext         string // the extension of its GUID, see format.firstHeader
	header      func() ([]byte, error)
}

// initialised is a mailbox whose index is complete.
type initialised struct {
	found       bool // it was complete before
	guid        [16]byte
	uidValidity uint32
}

// initialise makes the index of a mailbox whose directories are there, unless it is complete already. Any number of processes
// may do that at once. A new log appears with all that belongs in it: no process finds a mailbox that is not complete.
func (s *Store) initialise(ctx context.Context, dir string, n newMailbox) (b initialised, err error) {
	if s.location.Format == FormatMaildir {
		return s.initialiseMaildir(ctx, dir, n)
	}
	return s.initialiseAt(ctx, dir, s.location.indexDir(dir), n)
}

// initialiseAt is initialise of a mailbox whose index is at path, not of a maildir.
func (s *Store) initialiseAt(ctx context.Context, dir, path string, n newMailbox) (b initialised, err error) {
	w, err := s.mailboxWriting(dir)
	if err != nil {
		return b, err
	}
	if n.ext, n.header, err = s.format.firstHeader(ctx, s, dir, &n); err != nil {
		return b, err
	}
	n.former = s.former.take(dir)
	b.found = true
	initial := func() ([]translog.NewRecord, error) {
		b.found = false
		return s.firstRecords(&n)
	}
	x, l, err := index.CreateAfter(ctx, s.indexOptionsAt(path), w, n.former, initial)
	if err != nil {
		return b, fmt.Errorf("mdbox: create index of mailbox %s: %w", n.name, err)
	}
	if l.State().UIDValidity() == 0 { // made by a process that did not get further
		var records []translog.NewRecord
		if records, err = initial(); err == nil {
			err = l.Commit(true, records...)
		}
	}
	b.uidValidity = l.State().UIDValidity()
	b.guid = s.newMailbox(n.name, dir, x).guid(l.State())
	if err != nil {
		err = fmt.Errorf("mdbox: initialise mailbox %s: %w", n.name, err)
	}
	return b, errors.Join(err, l.Unlock())
}

// noLog2 is the log2_rotate_time of an index that has no .log.2.
const noLog2 = 1<<32 - 1

// firstRecords returns the first transaction of a mailbox, for which it takes a UIDVALIDITY (dovecot mdbox-storage.c, mdbox_mailbox_create_indexes).
func (s *Store) firstRecords(n *newMailbox) (records []translog.NewRecord, err error) {
	if n.guid == [16]byte{} {
		n.guid = dbox.NewGUID()
	}
	control, err := s.permissions("")
	if err != nil {
		return nil, err
	}
	if err := s.makeDirs(s.location.Control); err != nil {
		return nil, err
	}
	now := uint32(s.now().Unix())
	n.uidValidity, err = mailboxlist.NextUIDValidity(s.options.FS, s.location.Control, control.File, now)
	if err != nil {
		return nil, err
	}
	header := func(ext string, data []byte) {
		records = append(records, done(translog.ExtIntros{index.NewIntro(ext, uint32(len(data)), 0, 0)}), done(translog.ExtHdrUpdates{{Data: data}}))
	}
	if n.boxName != nil {
		header(extBoxName, n.boxName)
	}
	if n.name == mailboxlist.Inbox {
		header(extPOP3UIDL, make([]byte, 4)) // no message has a stored UIDL
	}
	own, err := n.header()
	if err != nil {
		return nil, err
	}
	header(n.ext, own)
	return append(records, done(slices.Concat(index.UIDValidityUpdate(n.uidValidity), index.NextUIDUpdate(max(1, n.former.NextUID)),
		index.Log2RotateTimeUpdate(noLog2), index.LastTempFileScanUpdate(now)))), nil
}

// complete makes the index of a mailbox whose creation was interrupted before that was done. It waits for the tree lock, and then looks for the
// mailbox again: one that lacks its index may have been renamed or deleted just now, and is not to appear once more, empty.
func (s *Store) complete(name string) error {
	ctx := context.Background()
	return s.changeTree(ctx, func() error {
		dir, err := s.mailboxDir(name)
		if err != nil {
			return err
		}
		return s.completeAt(ctx, name, dir)
	})
}

// completeAt is complete under the tree lock, of a mailbox that exists.
func (s *Store) completeAt(ctx context.Context, name, dir string) error {
	n := newMailbox{name: name}
	if s.location.Layout == LayoutIndex {
		if _, err := hex.Decode(n.guid[:], []byte(dir)); err != nil {
			return fmt.Errorf("%w: %s", ErrNotInitialised, name)
		}
		storage, err := s.codec().Storage(name)
		if err != nil {
			return err
		}
		n.boxName = boxName(storage)
	}
	p, err := s.permissions(dir)
	if err != nil {
		return err
	}
	if _, err := s.makeMailboxDirs(dir, p); err != nil { // that of the index may be missing
		return err
	}
	_, err = s.initialise(ctx, dir, n)
	return err
}

func (s *Store) indexOptions(dir string) index.Options {
	return s.indexOptionsAt(s.location.indexDir(dir))
}

func (s *Store) indexOptionsAt(path string) index.Options {
	return index.Options{FS: s.options.FS, Dir: path, MaxStateBytes: s.options.MaxStateBytes}
}

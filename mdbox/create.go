package mdbox

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/translog"
)

// Extensions of the index of a mailbox that have header data only.
const (
	extPOP3UIDL   = "hdr-pop3-uidl"     // uint32: the highest UID of a message with a stored POP3 UIDL; of INBOX
	extBoxName    = "box-name"          // with LayoutIndex: the storage name, levels separated by NUL
	extLastRename = "last-rename-stamp" // uint32: UNIX time
)

// CreateMailbox makes a mailbox, and the parents that it needs. A name that was only a parent becomes a mailbox. One
// whose creation was interrupted is completed.
//
// It returns ErrExists, a *mailboxlist.NameError, or ErrReadOnly. (spec: dovecot index-storage.c, index_storage_mailbox_create)
func (s *Store) CreateMailbox(ctx context.Context, name string) error {
	dir, err := s.codec().Storage(name)
	if err == nil {
		err = mailboxlist.CheckNew(name)
	}
	if err != nil {
		return err
	}
	return s.changeTree(ctx, func() error { return s.create(ctx, mailboxlist.Canonical(name), dir) })
}

// EnsureMailbox makes a mailbox unless it exists, as for one that the configuration says shall be there. If it was
// made, and subscribe is set, it is subscribed as well.
func (s *Store) EnsureMailbox(ctx context.Context, name string, subscribe bool) error {
	if _, err := s.mailboxDir(name); !errors.Is(err, ErrNotFound) {
		return err
	}
	err := s.CreateMailbox(ctx, name)
	if errors.Is(err, ErrExists) {
		return nil // made by somebody else meanwhile
	}
	if err == nil && subscribe {
		err = s.Subscribe(ctx, name, true)
	}
	return err
}

// create is CreateMailbox under the tree lock. dir is the storage name.
func (s *Store) create(ctx context.Context, name, dir string) error {
	if s.location.Layout == LayoutIndex {
		return s.createNode(ctx, name, dir)
	}
	made, err := s.makeMailboxDirs(dir)
	if err != nil {
		return err
	}
	b, err := s.initialise(ctx, name, dir, newMailbox{})
	if err != nil {
		return err
	}
	if made == "" && b.found {
		return fmt.Errorf("%w: %s", ErrExists, name)
	}
	s.markListStale(ctx)
	return nil
}

// makeMailboxDirs makes the directories of a mailbox. made is the topmost directory that was made of those whose existence
// makes the mailbox exist, "" if they were all there.
func (s *Store) makeMailboxDirs(dir string) (made string, err error) {
	l := &s.location
	p, err := s.permissions(dir)
	if err != nil {
		return "", err
	}
	if err := s.makeDirs(l.mailboxesDir(l.Root)); err != nil {
		return "", err
	}
	made, err = p.Mkdir(s.options.FS, l.mailboxDir(dir))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("mdbox: make mailbox directory: %w", err)
	}
	if err := s.syncDirs(l.mailboxDir(dir), made); err != nil {
		return "", err
	}
	if l.indexDir(dir) == l.mailboxDir(dir) {
		return made, nil
	}
	if err := s.makeDirs(l.mailboxesDir(l.Index)); err != nil {
		return "", err
	}
	top, err := p.Mkdir(s.options.FS, l.indexDir(dir))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("mdbox: make index directory: %w", err)
	}
	return made, s.syncDirs(l.indexDir(dir), top)
}

// newMailbox is what is known of a mailbox before its index is made.
type newMailbox struct {
	guid    [16]byte // zero: any
	boxName []byte   // header of the extension box-name, with LayoutIndex
}

// initialised is a mailbox whose index is complete.
type initialised struct {
	found       bool // it was complete before
	guid        [16]byte
	uidValidity uint32
}

// initialise makes the index of a mailbox whose directories are there, unless it is complete already. Any number of processes
// may do that at once.
func (s *Store) initialise(ctx context.Context, name, dir string, n newMailbox) (initialised, error) {
	w, err := s.mailboxWriting(dir)
	if err != nil {
		return initialised{}, err
	}
	mapUIDValidity, err := s.mapUIDValidity(ctx) // MAP comes before BOX
	if err != nil {
		return initialised{}, err
	}
	_, l, err := index.Create(ctx, s.indexOptions(dir), w)
	if err != nil {
		return initialised{}, fmt.Errorf("mdbox: create index of mailbox %s: %w", name, err)
	}
	b, err := s.initialiseLocked(l, name, n, mapUIDValidity)
	if err != nil {
		err = fmt.Errorf("mdbox: initialise mailbox %s: %w", name, err)
	}
	return b, errors.Join(err, l.Unlock())
}

// complete makes the index of a mailbox whose creation was interrupted before that was done.
func (s *Store) complete(ctx context.Context, name, dir string) error {
	n := newMailbox{}
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
	if _, err := s.makeMailboxDirs(dir); err != nil { // that of the index may be missing
		return err
	}
	_, err := s.initialise(ctx, mailboxlist.Canonical(name), dir, n)
	return err
}

// boxName returns the header data of the extension box-name.
func boxName(storage string) []byte { return []byte(strings.ReplaceAll(storage, "/", "\x00")) }

func (s *Store) initialiseLocked(l *index.Locked, name string, n newMailbox, mapUIDValidity uint32) (initialised, error) {
	if v := l.State().UIDValidity(); v != 0 {
		b := initialised{found: true, uidValidity: v}
		if e := l.State().Ext(index.ExtMdboxHeader); e != nil {
			h, err := index.DecodeMdboxHeader(e.Header())
			b.guid = h.MailboxGUID
			return b, err
		}
		return b, nil
	}
	if n.guid == [16]byte{} {
		n.guid = dbox.NewGUID()
	}
	control, err := s.permissions("")
	if err != nil {
		return initialised{}, err
	}
	if err := s.makeDirs(s.location.Control); err != nil {
		return initialised{}, err
	}
	v, err := mailboxlist.NextUIDValidity(s.options.FS, s.location.Control, control.File, uint32(s.now().Unix()))
	if err != nil {
		return initialised{}, err
	}
	records := n.records(l, name, mapUIDValidity)
	records = append(records, done(slices.Concat(
		index.UIDValidityUpdate(v), index.Log2RotateTimeUpdate(noLog2), index.LastTempFileScanUpdate(uint32(s.now().Unix())))))
	return initialised{guid: n.guid, uidValidity: v}, l.Commit(true, records...)
}

// noLog2 is the log2_rotate_time of an index that has no .log.2.
const noLog2 = 1<<32 - 1

// records returns those of the first transaction of a mailbox, but for its header (dovecot
// mdbox-storage.c, mdbox_mailbox_create_indexes).
func (n *newMailbox) records(l *index.Locked, name string, mapUIDValidity uint32) (records []translog.NewRecord) {
	header := func(ext string, data []byte) {
		records = append(records, done(translog.ExtIntros{l.Intro(ext, uint32(len(data)), 0, 0)}), done(translog.ExtHdrUpdates{{Data: data}}))
	}
	if n.boxName != nil {
		header(extBoxName, n.boxName)
	}
	if name == mailboxlist.Inbox {
		header(extPOP3UIDL, make([]byte, 4)) // no message has a stored UIDL
	}
	header(index.ExtMdboxHeader, index.MdboxHeader{MapUIDValidity: mapUIDValidity, MailboxGUID: n.guid}.Append(nil))
	return records
}

func (s *Store) indexOptions(dir string) index.Options {
	return index.Options{FS: s.options.FS, Dir: s.location.indexDir(dir), MaxStateBytes: s.options.MaxStateBytes}
}

// stampRename notes in the index of a mailbox when it was renamed. Dovecot's autoexpunge looks at it.
func (s *Store) stampRename(ctx context.Context, dir string) error {
	w, err := s.mailboxWriting(dir)
	if err != nil {
		return err
	}
	x, err := index.Open(s.indexOptions(dir))
	if err != nil {
		return err
	}
	l, err := x.Lock(ctx, w)
	if err != nil {
		return err
	}
	stamp := le32(uint32(s.now().Unix()))
	err = l.Commit(false, done(translog.ExtIntros{l.Intro(extLastRename, 4, 0, 4)}), done(translog.ExtHdrUpdates{{Data: stamp}}))
	return errors.Join(err, l.Unlock())
}

// done is a record of what needs nothing more to be done.
func done(p translog.Payload) translog.NewRecord {
	return translog.NewRecord{External: true, Payload: p}
}

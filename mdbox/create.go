package mdbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

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
	dir, err := s.dirOf(name)
	if err == nil {
		err = mailboxlist.CheckNew(name)
	}
	if err != nil {
		return err
	}
	return s.changeTree(ctx, func() error { return s.create(ctx, name, dir) })
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
	if err := s.fits(name, dir); err != nil {
		return err
	}
	if s.location.Format == FormatMaildir && s.hasMaildir(dir) {
		return fmt.Errorf("%w: %s", ErrExists, name)
	}
	p, err := s.permissions(dir)
	if err != nil {
		return err
	}
	if whole, err := s.createWhole(ctx, name, dir, p); whole || err != nil {
		return err
	}
	made, err := s.makeMailboxDirs(dir, p)
	if err != nil {
		return err
	}
	b, err := s.initialise(ctx, dir, newMailbox{name: name})
	if err != nil {
		return err
	}
	if made == "" && b.found && s.location.Format != FormatMaildir {
		return fmt.Errorf("%w: %s", ErrExists, name)
	}
	return nil
}

// fits refuses a mailbox below whose directory a file could not be named, before anything is made of it. Its own error is unix.ENAMETOOLONG.
func (s *Store) fits(name, dir string) error {
	const longest = 200 // a file's name, or those that are moved or made on the way to it
	for _, path := range []string{s.location.mailboxDir(dir), s.location.indexDir(dir), s.location.controlDir(dir)} {
		if len(path)+longest >= unix.PathMax {
			return fmt.Errorf("mdbox: mailbox %.40s…: %w", name, unix.ENAMETOOLONG)
		}
	}
	return nil
}

// buildName is the directory below the root in which a mailbox is made before it is moved to its place. The tree lock is
// held while it is there.
const buildName = "..roost-new"

// createWhole makes a mailbox elsewhere and moves it to its place when it is complete: a Dovecot takes a mailbox to exist as soon as
// it has its directory, opens it without the tree lock, and if it saves a message before the index has its header then it has to rebuild the store
// (seen with 2.3.19: "uidvalidity=0, but next_uid=2"). It returns false, and has done nothing, where that can not be done: with index
// files elsewhere, in another file system, below a root that may not be changed, or if something is in that place.
func (s *Store) createWhole(ctx context.Context, name, dir string, p mailboxlist.Permissions) (whole bool, err error) {
	l, fsys := &s.location, s.options.FS
	box, build := l.mailboxDir(dir), filepath.Join(l.Root, buildName)
	if l.Format == FormatMaildir || l.indexDir(dir) != box {
		return false, nil
	}
	if _, err := fsys.Stat(box); !errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err := s.makeDirs(l.mailboxesDir(l.Root)); err != nil {
		return false, err
	}
	if err := removeAll(fsys, build); err != nil { // of a process that died
		return false, fmt.Errorf("mdbox: make mailbox %s: %w", name, err)
	}
	if _, err := p.Mkdir(fsys, build); errors.Is(err, fs.ErrPermission) {
		return false, nil // only mailboxes/ may be changed
	} else if err != nil {
		return false, fmt.Errorf("mdbox: make mailbox directory: %w", err)
	}
	if _, err = s.initialiseAt(ctx, dir, build, newMailbox{name: name}); err == nil {
		err = s.moveWhole(build, box, p)
	}
	if err == nil {
		return true, nil
	}
	if removed := removeAll(fsys, build); removed != nil {
		s.options.Report(fmt.Errorf("mdbox: make mailbox %s: %w", name, removed))
	}
	// mailboxes/ leads elsewhere; or somebody who takes no lock has made a mailbox there, or removed the directory above
	if errors.Is(err, unix.EXDEV) || isNotEmpty(err) || errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return false, fmt.Errorf("mdbox: make mailbox %s: %w", name, err)
}

// moveWhole moves a complete mailbox to its place, and makes that durable.
func (s *Store) moveWhole(build, box string, p mailboxlist.Permissions) error {
	fsys, parent := s.options.FS, filepath.Dir(box)
	made, err := p.Mkdir(fsys, parent)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if s.durable() {
		if err := fsys.SyncDir(build); err != nil {
			return err
		}
	}
	if err := fsys.Rename(build, box); err != nil {
		return err
	}
	if made == "" {
		made = box
	}
	if err := s.syncDirs(parent, made); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil // somebody else has renamed or removed what is made, and has to make that durable
}

// makeMailboxDirs makes the directories of a mailbox. made is the topmost directory that was made of those whose existence
// makes the mailbox exist, "" if they were all there.
func (s *Store) makeMailboxDirs(dir string, p mailboxlist.Permissions) (made string, err error) {
	l := &s.location
	if err := s.makeDirs(l.mailboxesDir(l.Root)); err != nil {
		return "", err
	}
	made, err = p.Mkdir(s.options.FS, l.mailboxDir(dir))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("mdbox: make mailbox directory: %w", err)
	}
	if err := s.syncDirs(l.mailboxDir(dir), made); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: somebody else removed it: %w", ErrNotFound, err)
	} else if err != nil {
		return "", err
	}
	if l.Format == FormatMaildir {
		if err := s.makeMaildir(dir, p); err != nil {
			return "", err
		}
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

// done is a record of what needs nothing more to be done.
func done(p translog.Payload) translog.NewRecord {
	return translog.NewRecord{External: true, Payload: p}
}

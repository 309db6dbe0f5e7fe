package mdbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// RenameMailbox gives a mailbox, or a name that is only a parent, and all below it, another name. Parents that the new
// name needs are made. UIDVALIDITY, UIDs and subscriptions stay. Of INBOX only the messages move (RFC 3501 §6.3.5): its
// children stay, and it is made again, empty. (Dovecot moves the children as well.)
//
// It returns ErrNotFound, ErrExists for the new name, a *mailboxlist.NameError for a new name that is not possible,
// ErrPermissionsConflict, or ErrReadOnly.
func (s *Store) RenameMailbox(ctx context.Context, from, to string) error {
	fromDir, err := s.dirOf(from)
	if err != nil {
		return err
	}
	toDir, err := s.dirOf(to)
	if err == nil {
		err = mailboxlist.CheckNew(to)
	}
	if err != nil {
		return err
	}
	if !s.isInbox(from) && strings.HasPrefix(to, from+"/") {
		return &mailboxlist.NameError{Name: to, Reason: "is below the mailbox itself"}
	}
	if s.location.Layout == LayoutPlusPlus && s.isInbox(from) {
		return s.renameInbox(ctx, to)
	}
	return s.changeTree(ctx, func() error {
		if s.location.Layout == LayoutIndex {
			return s.renameNode(ctx, from, to, fromDir, toDir)
		}
		return s.rename(ctx, from, to, fromDir, toDir)
	})
}

// rename is RenameMailbox under the tree lock.
func (s *Store) rename(ctx context.Context, from, to, fromDir, toDir string) error {
	if err := s.fits(to, toDir); err != nil {
		return err
	}
	moves, err := s.planRename(ctx, from, to, fromDir, toDir)
	if err != nil {
		return fmt.Errorf("mdbox: rename %s: %w", from, err)
	}
	if err := s.checkRename(from, to, fromDir, toDir); err != nil {
		return err
	}
	unlock, err := s.lockRenamed(ctx, from)
	if err == nil {
		err = moves.run(s)
		unlock()
	}
	if err != nil {
		return fmt.Errorf("mdbox: rename mailbox %s: %w", from, err)
	}
	if x, err := index.Open(s.indexOptions(toDir)); err == nil {
		s.former.note(fromDir, x.State().Former())
	}
	if s.isInbox(from) {
		if err := s.create(context.WithoutCancel(ctx), from, fromDir); err != nil && !errors.Is(err, ErrExists) {
			s.options.Report(fmt.Errorf("mdbox: make INBOX again: %w", err)) // it is made when it is opened next
		}
	}
	var notDurable error
	if s.durable() {
		notDurable = moves.sync(s.options.FS)
	}
	for _, root := range s.rootsToClean() {
		top := s.location.mailboxesDir(root)
		err = errors.Join(err, removeEmpty(s.options.FS, filepath.Join(top, fromDir), top))
	}
	if err != nil {
		s.options.Report(fmt.Errorf("mdbox: after renaming the mailbox %s: %w", fromDir, err))
	}
	s.renamed(ctx, to, toDir)
	if notDurable != nil {
		return fmt.Errorf("mdbox: rename mailbox %s: %w", from, notDurable)
	}
	return nil
}

// rootsToClean returns the roots below which parents that a rename leaves empty are removed. As with Dovecot, that of the mail files
// is one of them only if it is that of the indexes or of the control files, too.
func (s *Store) rootsToClean() []string {
	roots, l := s.separateRoots(), &s.location
	if l.Index == l.Root || l.Control == l.Root {
		roots = append(roots, l.Root)
	}
	return roots
}

// renamed does what has to be done after the directories were moved. Nothing of it can make the rename fail.
func (s *Store) renamed(ctx context.Context, to, toDir string) {
	ctx = context.WithoutCancel(ctx)
	if err := s.noteRename(ctx, toDir, true, nil); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, index.ErrDeleted) {
		s.options.Report(fmt.Errorf("mdbox: note time of renaming in %s: %w", to, err))
	}
	s.noteName(mailboxlist.ChangeRenamed, to)
}

// checkRename refuses a new name that is taken, or for which the names of the children would be too long, and a
// place where other permissions rule (dovecot mailbox-list-fs.c, fs_list_rename_mailbox).
func (s *Store) checkRename(from, to, fromDir, toDir string) error {
	target := filepath.Join(s.location.mailboxesDir(s.location.Root), toDir)
	entries, err := s.options.FS.ReadDir(target)
	leftover := err == nil && len(entries) == 0 && s.isInbox(from) // of an interrupted RENAME of INBOX
	if err == nil && !leftover {
		return fmt.Errorf("%w: %s", ErrExists, to)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	p, err := s.permissions(fromDir)
	if err != nil {
		return err
	}
	q, err := s.permissions(toDir)
	if err != nil {
		return err
	}
	if p.Conflict(q) {
		return fmt.Errorf("%w: %s and %s", ErrPermissionsConflict, from, to)
	}
	if s.isInbox(from) {
		return nil
	}
	return s.checkChildren(from, to)
}

// checkChildren refuses a new name for which the name of a child would not be possible.
func (s *Store) checkChildren(from, to string) error {
	tree, err := s.tree()
	if err != nil {
		return err
	}
	for _, m := range tree.Mailboxes {
		if below, ok := strings.CutPrefix(m.Name, from+"/"); ok {
			if _, err := s.codec().Storage(to + "/" + below); err != nil {
				return err
			}
		}
	}
	return nil
}

// move is one rename of a directory or file.
type move struct{ from, to string }

// moves are the renames that make a mailbox have another name, in their order.
type moves struct {
	list []move
	dirs []string // to be made before, with the permissions of perm
	perm mailboxlist.Permissions
}

// planRename returns the renames of a mailbox, or ErrNotFound. Index files that are separate go last, as with Dovecot: between
// the renames the old name, which clients know, is no mailbox, rather than one without index, for which they would begin a new one.
func (s *Store) planRename(ctx context.Context, from, to, fromDir, toDir string) (*moves, error) {
	l := &s.location
	perm, err := s.permissions(toDir)
	if err != nil {
		return nil, err
	}
	m := &moves{perm: perm}
	if l.Layout == LayoutPlusPlus {
		return m, s.planPlusPlus(m, from, to)
	}
	if s.isInbox(from) {
		return m, s.planInbox(ctx, m, toDir)
	}
	top := l.mailboxesDir(l.Root)
	if st, err := s.options.FS.Stat(filepath.Join(top, fromDir)); errors.Is(err, fs.ErrNotExist) || err == nil && !st.Dir {
		return nil, ErrNotFound
	} else if err != nil {
		return nil, err
	}
	for _, root := range append([]string{l.Root}, s.separateRoots()...) {
		top := l.mailboxesDir(root)
		if _, err := s.options.FS.Stat(filepath.Join(top, fromDir)); err == nil {
			m.add(filepath.Join(top, fromDir), filepath.Join(top, toDir))
		}
	}
	return m, nil
}

// planInbox plans the renames of INBOX without its children. It makes INBOX if it does not exist.
func (s *Store) planInbox(ctx context.Context, m *moves, toDir string) error {
	l, inbox := &s.location, mailboxlist.Inbox
	if _, err := s.mailboxDir(inbox); errors.Is(err, ErrNotFound) {
		if err := s.create(ctx, inbox, inbox); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	m.add(l.mailboxDir(inbox), l.mailboxDir(toDir))
	if alt := l.altMailboxDir(inbox); l.Format == FormatSdbox && alt != "" {
		if _, err := s.options.FS.Stat(alt); err == nil {
			m.add(alt, l.altMailboxDir(toDir))
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, root := range s.separateRoots() {
		if root != l.Index && root != l.IndexCache {
			continue
		}
		from := filepath.Join(l.mailboxesDir(root), inbox)
		entries, err := s.options.FS.ReadDir(from)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if !e.IsDir() {
				m.add(filepath.Join(from, e.Name()), filepath.Join(l.mailboxesDir(root), toDir, e.Name()))
			}
		}
	}
	return nil
}

func (m *moves) add(from, to string) {
	m.list = append(m.list, move{from, to})
	m.dirs = append(m.dirs, filepath.Dir(to))
}

// run makes the directories and the renames. If one fails, those before are taken back.
func (m *moves) run(s *Store) error {
	fsys := s.options.FS
	var parents []string // that were made
	for _, d := range m.dirs {
		made, err := m.perm.Mkdir(fsys, d)
		if made != "" {
			parents = append(parents, d)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := s.syncDirs(d, made); err != nil {
			return err
		}
	}
	for i, r := range m.list {
		if err := m.rename(s, r); err != nil {
			for _, back := range m.list[:i] {
				err = errors.Join(err, fsys.Rename(back.to, back.from))
			}
			for _, d := range parents {
				_ = removeEmpty(fsys, d, s.location.Root)
			}
			return err
		}
	}
	return nil
}

// renameAttempts bounds how often a parent that somebody else removes is made for one rename.
const renameAttempts = 10

// rename makes one of the renames. Dovecot removes parents that it has left empty, also those that are to be the parent
// of something here: they are made again. It returns ErrNotFound if what is to be renamed is not there any more.
func (m *moves) rename(s *Store, r move) error {
	fsys, parent := s.options.FS, filepath.Dir(r.to)
	for attempt := 1; ; attempt++ {
		err := fsys.Rename(r.from, r.to)
		if !errors.Is(err, fs.ErrNotExist) || attempt == renameAttempts {
			return err
		}
		if _, err := fsys.Stat(r.from); errors.Is(err, fs.ErrNotExist) {
			return ErrNotFound
		}
		made, err := m.perm.Mkdir(fsys, parent)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := s.syncDirs(parent, made); err != nil {
			return err
		}
	}
}

// sync makes the renames durable.
func (m *moves) sync(fsys vfs.FS) error {
	for _, r := range m.list {
		for _, d := range []string{filepath.Dir(r.to), filepath.Dir(r.from)} {
			if err := fsys.SyncDir(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// noteRename notes in the index of a mailbox its new name, with LayoutIndex, and if the mailbox itself was renamed and
// not one above it, the time of that, which Dovecot's autoexpunge looks at.
func (s *Store) noteRename(ctx context.Context, dir string, itself bool, boxName []byte) error {
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
	var records []translog.NewRecord
	if boxName != nil {
		in := l.Intro(extBoxName, uint32(len(boxName)), 0, 0)
		in.NoShrink = false
		records = append(records, done(translog.ExtIntros{in}), done(translog.ExtHdrUpdates{{Data: boxName}}))
	}
	if itself {
		stamp := le32(uint32(s.now().Unix()))
		records = append(records, done(translog.ExtIntros{l.Intro(extLastRename, 4, 0, 4)}), done(translog.ExtHdrUpdates{{Data: stamp}}))
	}
	return errors.Join(l.Commit(false, records...), l.Unlock())
}

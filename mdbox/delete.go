package mdbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/mdbox/mailboxlist"
)

// trashName is the directory below the root that the directory of a mailbox becomes while it is being deleted (dovecot
// mailbox-list-fs.h, MAILBOX_LIST_FS_TRASH_DIR_NAME). What it holds is deleted by the next who finds it.
const trashName = "..DOVECOT-TrasH"

// DeleteMailbox removes a mailbox with all its messages. Its children stay, and then its name as their parent, and
// its subscription. A deletion that was interrupted is brought to its end.
//
// It returns ErrNotFound, ErrHasChildren for a name that is only a parent, a *mailboxlist.NameError for INBOX, or ErrReadOnly.
func (s *Store) DeleteMailbox(ctx context.Context, name string) error {
	if s.isInbox(name) {
		return &mailboxlist.NameError{Name: name, Reason: "can not be deleted"}
	}
	dir, err := s.dirOf(name)
	if err != nil {
		return err
	}
	return s.changeTree(ctx, func() error {
		if s.location.Layout == LayoutIndex {
			return s.deleteNode(ctx, name, dir)
		}
		return s.delete(ctx, name, dir)
	})
}

// delete is DeleteMailbox under the tree lock.
func (s *Store) delete(ctx context.Context, name, dir string) error {
	if _, err := s.mailboxDir(name); errors.Is(err, ErrNotFound) {
		return s.deleteParent(name, dir)
	} else if err != nil {
		return err
	}
	guid, err := s.emptyForDelete(ctx, name, dir)
	if err != nil {
		return err
	}
	if err := s.trash(ctx, name, dir); err != nil {
		return fmt.Errorf("mdbox: delete mailbox %s: %w", name, err)
	}
	gone, err := s.removeNameDir(dir)
	if err != nil {
		s.options.Report(fmt.Errorf("mdbox: delete mailbox %s: %w", name, err))
	}
	s.noteChange(mailboxlist.ChangeDeleted, guid)
	s.forgetAttributes(ctx, guid)
	if gone {
		s.noteName(mailboxlist.ChangeDirDeleted, name)
	}
	return nil
}

// deleteParent removes a name that is not a mailbox.
func (s *Store) deleteParent(name, dir string) error {
	if s.location.Layout == LayoutPlusPlus {
		if parent, err := s.hasChildren(name); err != nil || parent {
			return errors.Join(err, fmt.Errorf("%w: %s", ErrHasChildren, name))
		}
		return fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	path := filepath.Join(s.location.mailboxesDir(s.location.Root), dir)
	if st, err := s.options.FS.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && !st.Dir {
		return fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	gone, err := s.removeNameDir(dir)
	if err != nil {
		return fmt.Errorf("mdbox: delete %s: %w", name, err)
	}
	if !gone {
		return fmt.Errorf("%w: %s", ErrHasChildren, name)
	}
	s.noteName(mailboxlist.ChangeDirDeleted, name)
	return nil
}

// trash takes the mailbox away from its name by one rename, and then removes its files. From the rename on it is deleted,
// whatever happens.
func (s *Store) trash(ctx context.Context, name, dir string) error {
	l, fsys := &s.location, s.options.FS
	box, trash := l.mailboxDir(dir), filepath.Join(l.Root, trashName)
	if l.Layout == LayoutPlusPlus {
		trash = filepath.Join(l.Root, plusPlusTrash)
	}
	if err := removeAll(fsys, trash); err != nil { // of a process that died
		return err
	}
	unlock, err := s.lockMaildir(ctx, name, dir) // who holds the lock of a mailbox expects its files where they are
	if err != nil {
		return err
	}
	err = fsys.Rename(box, trash)
	unlock()
	if errors.Is(err, unix.EXDEV) { // mailboxes/ leads elsewhere
		err = removeAll(fsys, box)
	}
	if err != nil {
		return err
	}
	if s.durable() {
		err = errors.Join(fsys.SyncDir(filepath.Dir(box)), fsys.SyncDir(l.Root))
	}
	if err := errors.Join(removeAll(fsys, trash), s.removeSeparate(dir)); err != nil {
		s.options.Report(fmt.Errorf("mdbox: remove files of the deleted mailbox %s: %w", dir, err))
	}
	return err
}

// removeSeparate removes what a mailbox has outside of the root: its mail files in ALT, and its index files, which may lie among the directories of its
// children, and the directories that are empty then.
func (s *Store) removeSeparate(dir string) error {
	l, fsys := &s.location, s.options.FS
	var err error
	for _, root := range s.separateRoots() {
		top := l.mailboxesDir(root)
		d := filepath.Join(top, dir)
		if root == l.Index || root == l.IndexCache || root == l.Control && l.Format == FormatMaildir {
			err = errors.Join(err, removeFiles(fsys, d))
		}
		if root == l.Alt && l.Format == FormatSdbox {
			d = l.altMailboxDir(dir)
			err = errors.Join(err, removeFiles(fsys, d))
		}
		err = errors.Join(err, removeEmpty(fsys, d, top))
	}
	return err
}

// separateRoots returns the roots, other than that of the mail files, below which mailboxes may have directories.
func (s *Store) separateRoots() []string {
	var roots []string
	for _, root := range []string{s.location.Index, s.location.IndexCache, s.location.Control, s.location.Alt} {
		if root != "" && root != s.location.Root && !slices.Contains(roots, root) {
			roots = append(roots, root)
		}
	}
	return roots
}

// removeNameDir removes the directory of a name, unless there are children in it.
func (s *Store) removeNameDir(dir string) (gone bool, err error) {
	err = s.options.FS.Remove(filepath.Join(s.location.mailboxesDir(s.location.Root), dir))
	if isNotEmpty(err) {
		return false, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err == nil, err
}

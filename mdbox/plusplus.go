package mdbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/maildir"
)

// dirOf returns the directory of a mailbox below mailboxes/, which need not exist. With LayoutIndex it is the storage name.
func (s *Store) dirOf(name string) (string, error) {
	if s.location.Layout == LayoutPlusPlus {
		return maildir.PlusPlus{UTF8: s.location.UTF8}.Dir(name)
	}
	return s.codec().Storage(name)
}

// plusPlusTree reads the tree of LayoutPlusPlus, which has no directories for parents that are no mailboxes.
func (s *Store) plusPlusTree() (*mailboxlist.Tree, error) {
	tree := &mailboxlist.Tree{}
	root := s.location.Root
	entries, err := s.options.FS.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return tree, nil
	}
	if err != nil {
		return nil, err
	}
	dirs := map[string]string{} // by name; "" for a parent
	if s.hasMaildir("") {
		dirs[mailboxlist.Inbox] = ""
	}
	names := maildir.PlusPlus{UTF8: s.location.UTF8}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") || e.Name() == plusPlusTrash || !s.hasMaildir(e.Name()) {
			continue
		}
		name, err := names.Name(e.Name())
		if err != nil {
			tree.Damage = append(tree.Damage, fmt.Sprintf("%s: %v", filepath.Join(root, e.Name()), err))
			continue
		}
		dirs[name] = e.Name()
	}
	for name, dir := range dirs {
		tree.Mailboxes = append(tree.Mailboxes, mailboxlist.Mailbox{Name: name, Dir: dir})
	}
	parents := map[string]bool{}
	for name := range dirs {
		for i := strings.LastIndexByte(name, '/'); i > 0; i = strings.LastIndexByte(name[:i], '/') {
			if _, exists := dirs[name[:i]]; !exists && !parents[name[:i]] {
				parents[name[:i]] = true
				tree.Mailboxes = append(tree.Mailboxes, mailboxlist.Mailbox{Name: name[:i], NoSelect: true})
			}
		}
	}
	if n := s.list.maxMailboxes(); len(tree.Mailboxes) > n {
		return nil, &mailboxlist.LimitError{Setting: "max_mailboxes", Limit: n}
	}
	slices.SortFunc(tree.Mailboxes, func(a, b mailboxlist.Mailbox) int { return strings.Compare(a.Name, b.Name) })
	return tree, nil
}

// plusPlusTrash is the directory below the root that the directory of a mailbox becomes while it is being deleted.
const plusPlusTrash = "..DOVECOT-TRASHED"

// hasMaildir reports whether there is a mailbox in a directory.
func (s *Store) hasMaildir(dir string) bool {
	st, err := s.options.FS.Stat(s.existsBy(dir))
	return err == nil && st.Dir
}

// existsBy returns the directory by which a mailbox exists. The root is one by its cur/, since it may be there for others; what a
// directory below it lacks is made when it is opened.
func (s *Store) existsBy(dir string) string {
	box := s.location.mailboxDir(dir)
	if s.location.Layout == LayoutPlusPlus && dir == "" {
		return filepath.Join(box, "cur")
	}
	return box
}

// lacksDirs reports whether a mailbox is a maildir without all of its directories.
func (s *Store) lacksDirs(dir string) bool {
	if s.location.Format != FormatMaildir {
		return false
	}
	for _, sub := range maildirSubdirs {
		if _, err := s.options.FS.Stat(filepath.Join(s.location.mailboxDir(dir), sub)); errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}

// controlDirs returns the directories that have the file dovecot-uidlist of a mailbox, or may get one.
func (s *Store) controlDirs() (dirs []string) {
	l := &s.location
	entries, err := s.options.FS.ReadDir(l.Control)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			dirs = append(dirs, filepath.Join(l.Control, e.Name()))
		}
	}
	return append(dirs, l.controlDir(""))
}

// hasChildren reports whether there are mailboxes below a name.
func (s *Store) hasChildren(name string) (bool, error) {
	tree, err := s.tree()
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(tree.Mailboxes, func(m mailboxlist.Mailbox) bool { return strings.HasPrefix(m.Name, name+"/") }), nil
}

// planPlusPlus plans the renames of a mailbox and of each below it. It returns ErrNotFound, ErrExists for a new name that is taken, and
// a *mailboxlist.NameError for one that is not possible.
func (s *Store) planPlusPlus(m *moves, from, to string) error {
	tree, err := s.tree()
	if err != nil {
		return err
	}
	taken := map[string]bool{}
	var renamed []string
	for _, b := range tree.Mailboxes {
		if b.Name == from || strings.HasPrefix(b.Name, from+"/") {
			renamed = append(renamed, b.Name)
		} else {
			taken[b.Name] = true
		}
	}
	if len(renamed) == 0 {
		return ErrNotFound
	}
	l := &s.location
	for _, name := range renamed {
		newName := to + strings.TrimPrefix(name, from)
		if taken[newName] {
			return fmt.Errorf("%w: %s", ErrExists, newName)
		}
		fromDir, err := s.dirOf(name)
		if err != nil {
			return err
		}
		toDir, err := s.dirOf(newName)
		if err != nil {
			return err
		}
		for _, root := range append([]string{l.Root}, s.separateRoots()...) {
			from, to := filepath.Join(root, fromDir), filepath.Join(root, toDir)
			if _, err := s.options.FS.Stat(from); err == nil {
				m.add(from, to)
			}
		}
	}
	return nil
}

// lockRenamed takes the locks of a mailbox of LayoutPlusPlus and of those below it, so that nobody's lock moves with a directory: its
// holder would not find it again, and others would wait for it. The locks themselves move, and are released where they are then.
func (s *Store) lockRenamed(ctx context.Context, from string) (unlock func(), err error) {
	var all []func()
	unlock = func() {
		for _, f := range all {
			f()
		}
	}
	if s.location.Layout != LayoutPlusPlus {
		return unlock, nil
	}
	tree, err := s.tree()
	if err != nil {
		return nil, err
	}
	for _, b := range tree.Mailboxes {
		if b.NoSelect || b.Name != from && !strings.HasPrefix(b.Name, from+"/") {
			continue
		}
		f, err := s.lockMaildir(ctx, b.Name, b.Dir)
		if err != nil {
			unlock()
			return nil, err
		}
		all = append(all, f)
	}
	return unlock, nil
}

// renameInbox moves the messages of INBOX to a new mailbox: INBOX is the root of all others, and stays.
func (s *Store) renameInbox(ctx context.Context, to string) error {
	if err := s.CreateMailbox(ctx, to); err != nil {
		return err
	}
	inbox, err := s.OpenMailbox(mailboxlist.Inbox)
	if err != nil {
		return err
	}
	target, err := s.OpenMailbox(to)
	if err != nil {
		return err
	}
	snap, err := inbox.Snapshot()
	if err != nil {
		return err
	}
	_, err = inbox.Copy(ctx, CopyRequest{Mailbox: snap.GUID, UIDs: snap.Messages.UIDs, To: target, Move: true})
	return err
}

package mdbox

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/maildir"
	"github.com/roostmail/roost/mdbox/vfs"
)

// MailboxInfo is one name of a store's list.
type MailboxInfo struct {
	Name        string // UTF-8, '/' between levels
	NoSelect    bool   // only a parent of others
	NonExistent bool   // only subscribed
	NoInferiors bool
	Subscribed  bool
}

// Mailboxes returns every mailbox, every parent and every subscribed name of the
// store, sorted by name. damage says what was left out and why.
func (s *Store) Mailboxes() (list []MailboxInfo, damage []string, err error) {
	tree, err := s.tree()
	if err != nil {
		return nil, nil, fmt.Errorf("mdbox: list mailboxes: %w", err)
	}
	damage = tree.Damage
	for _, m := range tree.Mailboxes {
		list = append(list, MailboxInfo{Name: m.Name, NoSelect: m.NoSelect, NoInferiors: m.NoInferiors})
	}
	subscribed, bad, err := s.Subscriptions()
	damage = append(damage, bad...)
	if err != nil {
		damage = append(damage, err.Error())
	}
	for _, name := range subscribed {
		i, found := slices.BinarySearchFunc(list, name, func(m MailboxInfo, name string) int { return strings.Compare(m.Name, name) })
		if !found {
			list = slices.Insert(list, i, MailboxInfo{Name: name, NonExistent: true})
		}
		list[i].Subscribed = true
	}
	return list, damage, nil
}

// LeavesOut reports whether names are left out of Mailboxes that may be mailboxes nevertheless.
func (s *Store) LeavesOut() (bool, error) {
	tree, err := s.tree()
	if err != nil {
		return false, fmt.Errorf("mdbox: list mailboxes: %w", err)
	}
	return len(tree.Damage) > 0, nil
}

// Subscriptions returns the subscribed names, in no particular order. damage
// names those that cannot be the names of mailboxes. A missing file is an empty list.
func (s *Store) Subscriptions() (names, damage []string, err error) {
	path := filepath.Join(s.location.Control, s.location.Subscriptions)
	b, err := vfs.ReadFile(s.options.FS, path, mailboxlist.DefaultMaxSubscriptions)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("mdbox: read subscriptions: %w", err)
	}
	subs, err := mailboxlist.DecodeSubscriptions(b, s.subscriptionsSeparator())
	if err != nil {
		return nil, nil, vfs.At(err, path, 0)
	}
	codec := s.codec()
	for _, storageName := range subs.Names {
		name, err := codec.Name(storageName)
		if err != nil {
			damage = append(damage, fmt.Sprintf("%s: %v", path, err))
			continue
		}
		names = append(names, name)
	}
	return names, damage, nil
}

// isInbox reports whether a name is that of the mailbox that can not be deleted, and is made again when it is renamed.
func (s *Store) isInbox(name string) bool {
	return name == mailboxlist.Inbox && (!s.options.NoInbox || s.location.Layout == LayoutPlusPlus)
}

func (s *Store) codec() mailboxlist.Codec {
	if s.location.Format == FormatMaildir {
		return mailboxlist.Codec{UTF8: s.location.UTF8, Dir: maildir.Marker}
	}
	return mailboxlist.Codec{UTF8: s.location.UTF8, Dir: s.location.DirName}
}

// tree reads the mailbox tree.
func (s *Store) tree() (*mailboxlist.Tree, error) {
	if s.location.Layout == LayoutIndex {
		return s.list.tree()
	}
	if s.location.Layout == LayoutPlusPlus {
		return s.plusPlusTree()
	}
	tree, err := mailboxlist.Walk(s.options.FS, filepath.Join(s.location.Root, s.location.MailboxDir), s.codec(), s.options.MaxMailboxes, &s.leaves)
	if err != nil {
		return nil, err
	}
	if s.location.Inbox != "" {
		s.addInbox(tree)
	}
	return tree, nil
}

// addInbox puts INBOX into the tree if its directory is elsewhere (INBOX=).
func (s *Store) addInbox(tree *mailboxlist.Tree) {
	st, err := s.options.FS.Stat(s.location.Inbox)
	i, found := slices.BinarySearchFunc(tree.Mailboxes, mailboxlist.Inbox, func(m mailboxlist.Mailbox, name string) int {
		return strings.Compare(m.Name, name)
	})
	if found {
		tree.Mailboxes[i].NoSelect = err != nil || !st.Dir
	} else if err == nil && st.Dir {
		tree.Mailboxes = slices.Insert(tree.Mailboxes, i, mailboxlist.Mailbox{Name: mailboxlist.Inbox, Dir: mailboxlist.Inbox})
	}
}

// mailboxDir returns the directory of a mailbox that exists, below mailboxes/. The
// error is ErrNotFound, or a *mailboxlist.NameError for a name that no mailbox can have.
func (s *Store) mailboxDir(name string) (string, error) {
	dir, err := s.dirOf(name)
	if err != nil {
		return "", err
	}
	if s.location.Layout == LayoutIndex {
		if dir, err = s.list.dir(name); err != nil {
			return "", err
		}
	}
	st, err := s.options.FS.Stat(s.existsBy(dir))
	if errors.Is(err, fs.ErrNotExist) || err == nil && !st.Dir {
		return "", fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	if err != nil {
		return "", fmt.Errorf("mdbox: mailbox %s: %w", name, err)
	}
	return dir, nil
}

// WatchDir is a directory in which the creation, change or renaming of a file whose name starts
// with Prefix, or the renaming or end of the directory itself, means something. Removals: so does the removal of a file.
type WatchDir struct {
	Path, Prefix string
	Removals     bool
}

// deliveryDirs returns the directories into which any program may put mail: of a maildir.
func (s *Store) deliveryDirs(dir string) []WatchDir {
	if s.location.Format != FormatMaildir {
		return nil
	}
	box := s.location.mailboxDir(dir)
	return []WatchDir{{Path: filepath.Join(box, "new"), Removals: true}, {Path: filepath.Join(box, "cur"), Removals: true}}
}

// DeliveryDirs returns the directories that have to be watched beside Dir, since any program may put mail there: of a maildir.
func (b *Mailbox) DeliveryDirs() []WatchDir { return b.store.deliveryDirs(b.dir) }

// WatchDirs returns the directories that tell, together, of every change to a mailbox that exists: first the one
// with its dovecot.index.log, then those that make the name this mailbox's, which are the ones that its path
// goes through, or with LayoutIndex that of the list index. Errors are those of OpenMailbox.
func (s *Store) WatchDirs(name string) ([]WatchDir, error) {
	dir, err := s.mailboxDir(name)
	if err != nil {
		return nil, err
	}
	box, log := s.location.mailboxDir(dir), s.location.indexDir(dir)
	dirs := []WatchDir{{Path: log, Prefix: index.DefaultPrefix + ".log"}}
	if s.location.Layout == LayoutIndex {
		dirs = append(dirs, WatchDir{Path: s.location.Index, Prefix: s.location.ListIndex + ".log"})
	}
	dirs = append(dirs, s.deliveryDirs(dir)...)
	if box != log {
		dirs = append(dirs, WatchDir{Path: box})
	}
	top := filepath.Join(s.location.Root, s.location.MailboxDir)
	for d := filepath.Dir(box); strings.HasPrefix(d, top+"/"); d = filepath.Dir(d) {
		dirs = append(dirs, WatchDir{Path: d})
	}
	return dirs, nil
}

package mdbox

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mailboxlist"
)

// separateIndexes reports whether the index of a mailbox has a directory of its own, which is renamed after that of the mailbox.
func (s *Store) separateIndexes() bool {
	return s.location.Index != s.location.Root && s.location.Layout == LayoutFS
}

// orphanIndexes returns the directories with an index of messages that is of no mailbox of the tree: between the two renames of a mailbox, and for
// ever if the process that renamed it was killed there, that is where its index is.
func (s *Store) orphanIndexes(tree *mailboxlist.Tree) (orphans []string, err error) {
	if !s.separateIndexes() {
		return nil, nil
	}
	mailboxes := map[string]bool{}
	for _, m := range tree.Mailboxes {
		if !m.NoSelect {
			mailboxes[m.Dir] = true
		}
	}
	top := s.location.mailboxesDir(s.location.Index)
	var walk func(dir string) error
	walk = func(dir string) error {
		entries, err := s.options.FS.ReadDir(filepath.Join(top, dir))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Name() == index.DefaultPrefix+".log" && !mailboxes[dir] && !s.isEmptyIndex(dir) {
				orphans = append(orphans, filepath.Join(top, dir))
			}
			if e.IsDir() {
				if err := walk(filepath.Join(dir, e.Name())); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return orphans, walk("")
}

// isEmptyIndex reports whether the index in the place of that of a mailbox has no messages, as one whose mailbox was deleted.
func (s *Store) isEmptyIndex(dir string) bool {
	x, err := index.Open(s.indexOptions(dir))
	return err == nil && x.State().Len() == 0
}

package mailboxlist

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sort"
	"strings"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Mailbox is a node of the tree.
type Mailbox struct {
	Name string // UTF-8, levels separated by '/'
	// Dir is the mailbox's directory below mailboxes/, without dbox-Mails: the
	// storage name, or with LAYOUT=index the GUID.
	Dir         string
	NoSelect    bool // only a parent
	NoInferiors bool // can not have children
	// UID is the node's UID in dovecot.list.index, 0 if the tree was not read from there.
	UID uint32
}

// Tree is the result of reading the mailboxes of a store.
type Tree struct {
	Mailboxes []Mailbox // sorted by name, byte by byte
	// Damage lists what was left out and why, for the log.
	Damage []string
}

// LimitError says that a store has more mailboxes than allowed.
type LimitError struct {
	Setting string
	Limit   int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("mailboxlist: store has more than %s = %d mailboxes", e.Setting, e.Limit)
}

// DefaultMaxMailboxes is the usual limit of the mailboxes of a store.
const DefaultMaxMailboxes = 100_000

// Walk reads the mailbox tree of LAYOUT=fs. dir is mailboxes/ below the root; if it
// does not exist the tree is empty. maxMailboxes bounds the names (0 =
// DefaultMaxMailboxes); more are a *LimitError.
//
// A directory that can not be read, or whose name is not a storage name, is left
// out with all below it, and noted in Damage. What leaves has from an earlier Walk of the same tree is not read again; nil: everything is.
func Walk(fsys vfs.FS, dir string, codec Codec, maxMailboxes int, leaves *Leaves) (tree *Tree, err error) {
	failed := vfs.Together(fsys, func(fsys vfs.FS) { tree, err = walk(fsys, dir, codec, maxMailboxes, leaves) })
	if failed != nil {
		return nil, fmt.Errorf("mailboxlist: %s: %w", dir, failed)
	}
	return tree, err
}

func walk(fsys vfs.FS, dir string, codec Codec, maxMailboxes int, leaves *Leaves) (*Tree, error) {
	if maxMailboxes <= 0 {
		maxMailboxes = DefaultMaxMailboxes
	}
	w := &walker{fsys: fsys, root: dir, codec: codec, max: maxMailboxes, leaves: leaves, tree: &Tree{}}
	entries, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return w.tree, nil
	}
	if err != nil {
		return nil, err
	}
	if err := w.children("", "", entries, 1); err != nil {
		return nil, err
	}
	sort.Slice(w.tree.Mailboxes, func(i, j int) bool { return w.tree.Mailboxes[i].Name < w.tree.Mailboxes[j].Name })
	return w.tree, nil
}

type walker struct {
	fsys   vfs.FS
	root   string
	codec  Codec
	max    int
	leaves *Leaves
	tree   *Tree
}

func (w *walker) note(dir string, why any) {
	w.tree.Damage = append(w.tree.Damage, fmt.Sprintf("%s: %v", filepath.Join(w.root, dir), why))
}

// children adds the mailboxes of the directories among entries, those of the
// node with the given name and directory ("" = top), and what is below them.
func (w *walker) children(name, dir string, entries []fs.DirEntry, level int) error {
	for _, e := range entries {
		if e.Name() == w.codec.dirName() && level > 1 || !w.isDir(dir, e) {
			continue
		}
		sub := filepath.Join(dir, e.Name())
		part, err := w.codec.PartName(e.Name())
		if err != nil {
			w.note(sub, err)
			continue
		}
		full := strings.TrimPrefix(name+"/"+part, "/")
		if len(full) > maxName {
			w.note(sub, fmt.Sprintf("not listed: its name has more than %d bytes", maxName))
			continue
		}
		if err := w.mailbox(full, sub, level); err != nil {
			return err
		}
	}
	return nil
}

// mailbox adds the node of a directory and what is below it.
func (w *walker) mailbox(name, dir string, level int) error {
	path := filepath.Join(w.root, dir)
	st, err := w.fsys.Stat(path)
	known := err == nil && w.leaves.has(path, st)
	var entries []fs.DirEntry
	if err == nil && !known {
		entries, err = w.fsys.ReadDir(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted meanwhile
	}
	if err != nil {
		w.note(dir, err)
		return nil
	}
	if len(w.tree.Mailboxes) >= w.max {
		return &LimitError{Setting: "max_mailboxes", Limit: w.max}
	}
	if known || w.codec.leaf(entries) {
		w.tree.Mailboxes = append(w.tree.Mailboxes, Mailbox{Name: name, Dir: dir})
		if !known {
			w.leaves.add(path, st)
		}
		return nil
	}
	m := Mailbox{Name: name, Dir: dir, NoSelect: true}
	for _, e := range entries {
		if e.Name() == w.codec.dirName() && w.isDir(dir, e) {
			m.NoSelect = false
		}
	}
	w.tree.Mailboxes = append(w.tree.Mailboxes, m)
	return w.children(name, dir, entries, level+1)
}

// isDir reports whether an entry of dir is a directory, or a symbolic link to one
// that is not above it.
func (w *walker) isDir(dir string, e fs.DirEntry) bool {
	if e.Type()&fs.ModeSymlink == 0 {
		return e.IsDir()
	}
	st, err := w.fsys.Stat(filepath.Join(w.root, dir, e.Name()))
	if err != nil || !st.Dir {
		return false
	}
	for above := dir; ; above = filepath.Dir(above) {
		up, err := w.fsys.Stat(filepath.Join(w.root, above))
		if err != nil || up.SameFile(st) {
			w.note(filepath.Join(dir, e.Name()), "not listed: a link to a directory above it")
			return false
		}
		if above == "." || above == "" {
			return true
		}
	}
}

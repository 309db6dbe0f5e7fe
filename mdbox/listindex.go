package mdbox

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mailboxlist"
)

// listIndex is dovecot.list.index. With LayoutIndex it says which mailboxes
// there are; in any case it remembers the STATUS values of each.
type listIndex struct {
	store *Store

	mu    sync.Mutex
	x     *index.Index      // nil: not opened yet, or not there
	nodes map[string]uint32 // UID of the record by name, of the current state
	dirs  map[string]string // LayoutIndex: the directory by name
	list  *mailboxlist.Tree
	stale bool // the refresh flag is set: names may be out of date
}

// refresh brings x, nodes and dirs up to date. l.mu is held. If there is no list
// index, x is nil.
func (l *listIndex) refresh() error {
	changed := l.x == nil
	if l.x == nil {
		x, err := index.Open(index.Options{FS: l.store.options.FS, Dir: l.store.location.Index, Prefix: l.store.location.ListIndex,
			MaxStateBytes: l.store.options.MaxStateBytes})
		if errors.Is(err, fs.ErrNotExist) {
			l.list = &mailboxlist.Tree{}
			return nil
		}
		if err != nil {
			return err
		}
		l.x = x
	} else {
		var err error
		if changed, err = l.x.Refresh(); err != nil {
			l.x, l.nodes, l.dirs = nil, nil, nil
			if errors.Is(err, index.ErrDeleted) { // and perhaps made again
				return l.refresh()
			}
			return err
		}
	}
	if !changed {
		return nil
	}
	if err := l.build(); err != nil {
		l.x = nil
		return err
	}
	return nil
}

// build reads the names out of the state.
func (l *listIndex) build() error {
	s := l.x.State()
	if s.Len() > l.maxMailboxes() {
		return &mailboxlist.LimitError{Setting: "max_mailboxes", Limit: l.maxMailboxes()}
	}
	tree, err := mailboxlist.TreeOf(s, l.store.codec())
	if err != nil {
		return fmt.Errorf("%s: %w", l.x.Path(), err)
	}
	problems, _ := l.x.Damage()
	for _, p := range problems {
		tree.Damage = append(tree.Damage, p.Error())
	}
	l.list, l.stale = tree, true
	if e := s.Ext(mailboxlist.ExtList); e != nil {
		h, err := mailboxlist.DecodeListHeader(e.Header())
		l.stale = err != nil || h.Refresh
	}
	l.nodes = make(map[string]uint32, len(tree.Mailboxes))
	l.dirs = make(map[string]string, len(tree.Mailboxes))
	for _, m := range tree.Mailboxes {
		l.nodes[m.Name] = m.UID
		if !m.NoSelect {
			l.dirs[m.Name] = m.Dir
		}
	}
	return nil
}

func (l *listIndex) maxMailboxes() int {
	if n := l.store.options.MaxMailboxes; n > 0 {
		return n
	}
	return mailboxlist.DefaultMaxMailboxes
}

func (l *listIndex) memoryBytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	const perMailbox = 400 // the record, and its name three times
	return perMailbox * int64(len(l.nodes))
}

// tree returns the mailbox tree of LayoutIndex. It belongs to the caller.
func (l *listIndex) tree() (*mailboxlist.Tree, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refresh(); err != nil {
		return nil, err
	}
	t := *l.list
	t.Mailboxes = append([]mailboxlist.Mailbox(nil), t.Mailboxes...)
	t.Damage = append([]string(nil), t.Damage...)
	return &t, nil
}

// dir returns the directory of a mailbox of LayoutIndex, or ErrNotFound.
func (l *listIndex) dir(name string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refresh(); err != nil {
		return "", fmt.Errorf("mdbox: mailbox %s: %w", name, err)
	}
	dir, ok := l.dirs[name]
	if !ok {
		return "", fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	return dir, nil
}

// CachedStatus returns the values that Dovecot noted in dovecot.list.index, if they
// are all there and the mailbox's log has not changed since. It never does so for INBOX, as Dovecot
// does not keep its values up to date.
func (s *Store) CachedStatus(name string, size bool) (st Status, ok bool) {
	if name == mailboxlist.Inbox || s.location.Format == FormatMaildir { // whose files may have changed
		return Status{}, false
	}
	dir, err := s.mailboxDir(name)
	if err != nil {
		return Status{}, false
	}
	log, err := s.options.FS.Stat(filepath.Join(s.location.indexDir(dir), index.DefaultPrefix+".log"))
	if err != nil {
		return Status{}, false
	}
	r, ok := s.list.record(name)
	if !ok || !r.sync.Matches(log) || r.counts.UIDNext == 0 || r.node.UIDValidity == 0 || r.modSeq == 0 || r.node.GUID == [16]byte{} {
		return Status{}, false
	}
	if size && (r.size.HighestUID != r.counts.UIDNext-1 || r.size.Messages != r.counts.Messages) {
		return Status{}, false
	}
	return Status{
		GUID:          r.node.GUID,
		Messages:      r.counts.Messages,
		Recent:        r.counts.Recent,
		Unseen:        r.counts.Unseen,
		UIDNext:       r.counts.UIDNext,
		UIDValidity:   r.node.UIDValidity,
		HighestModSeq: r.modSeq,
		Size:          r.size.Bytes,
	}, true
}

// listRecord is what the list index knows about a mailbox. What is missing is zero.
type listRecord struct {
	node   mailboxlist.ListRecord
	counts mailboxlist.MessageCounts
	modSeq uint64
	sync   mailboxlist.IndexSync
	size   mailboxlist.SizeSum
}

func (l *listIndex) record(name string) (r listRecord, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refresh(); err != nil || l.x == nil || l.stale {
		return r, false
	}
	s := l.x.State()
	i, ok := s.Find(l.nodes[name])
	if !ok {
		return r, false
	}
	field(s, mailboxlist.ExtList, i, &r.node, mailboxlist.DecodeListRecord)
	field(s, mailboxlist.ExtMessages, i, &r.counts, mailboxlist.DecodeMessageCounts)
	field(s, mailboxlist.ExtModSeq, i, &r.modSeq, mailboxlist.DecodeHighestModSeq)
	field(s, mailboxlist.ExtIndexSync, i, &r.sync, mailboxlist.DecodeIndexSync)
	field(s, mailboxlist.ExtVSize, i, &r.size, mailboxlist.DecodeSizeSum)
	return r, true
}

// field decodes an extension's data of record i, if it is there and well-formed.
func field[T any](s *index.State, ext string, i int, to *T, decode func([]byte) (T, error)) {
	if e := s.Ext(ext); e != nil {
		if v, err := decode(e.Record(i)); err == nil {
			*to = v
		}
	}
}

package mdbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/maildir"
	"github.com/roostmail/roost/mdbox/vfs"
)

// Mailbox is an open mailbox: the state of its index in memory, brought up to
// date by every method that says so. It holds no file open, and is safe for concurrent use.
type Mailbox struct {
	store *Store
	name  string
	dir   string // its directory below mailboxes/: storage name or GUID
	files *dbox.Files
	// cacheFile is the path of its dovecot.index.cache.
	cacheFile string
	// maildir is the directories of the mailbox; nil in other formats.
	maildir *maildir.Mailbox

	commits  commits              // of Appends
	lastNeed atomic.Pointer[need] // of the last walk

	mu    sync.Mutex
	index *index.Index
	// cacheChecked is the cache file that has been seen to have all records that the index refers to.
	cacheChecked cache.Identity
	// cacheFields are the fields of the cache file cacheFieldsOf when this process last added to it.
	cacheFields   []cache.Field
	cacheFieldsOf cache.Identity
}

// OpenMailbox reads a mailbox. Names are UTF-8, with '/' between levels. It
// returns ErrNotFound, ErrNotInitialised, or a *vfs.CorruptError when nothing of the
// index can be used; for lesser damage see Snapshot.Damage.
//
// In a store that may be changed, and has one, INBOX always exists, and a mailbox whose creation was interrupted is completed.
func (s *Store) OpenMailbox(name string) (*Mailbox, error) {
	dir, err := s.mailboxDir(name)
	if s.options.Write != nil && errors.Is(err, ErrNotFound) && name == mailboxlist.Inbox && !s.options.NoInbox {
		if err = s.EnsureMailbox(context.Background(), name, false); err == nil {
			dir, err = s.mailboxDir(name)
		}
	}
	if err != nil {
		return nil, err
	}
	b, err := s.openDir(name, dir)
	if s.options.Write != nil && (errors.Is(err, ErrNotInitialised) || err == nil && (b.index.State().UIDValidity() == 0 || s.lacksDirs(dir))) {
		if err := s.complete(name); err != nil {
			return nil, err
		}
		return s.openMade(name)
	}
	return b, err
}

// openMade is OpenMailbox for who may not make anything, since it holds a lock: the mailbox is opened as it is.
func (s *Store) openMade(name string) (*Mailbox, error) {
	dir, err := s.mailboxDir(name)
	if err != nil {
		return nil, err
	}
	return s.openDir(name, dir)
}

// openDir opens the mailbox of a directory.
func (s *Store) openDir(name, dir string) (*Mailbox, error) {
	o := s.indexOptions(dir)
	o.Late = true
	x, err := index.Open(o)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNotInitialised, name)
	}
	if err != nil {
		return nil, fmt.Errorf("mdbox: open mailbox %s: %w", name, err)
	}
	return s.newMailbox(name, dir, x), nil
}

func (s *Store) newMailbox(name, dir string, x *index.Index) *Mailbox {
	b := &Mailbox{store: s, name: name, dir: dir, cacheFile: filepath.Join(s.location.cacheDir(dir), cacheName), index: x}
	b.files = s.format.files(b)
	if s.location.Format == FormatMaildir {
		b.maildir = b.openMaildir()
	}
	return b
}

// Name returns the name the mailbox was opened with.
func (b *Mailbox) Name() string { return b.name }

// Dir returns the directory with the mailbox's dovecot.index.log, the file that every change is written to.
func (b *Mailbox) Dir() string { return b.store.location.indexDir(b.dir) }

// origin returns the storage name of the mailbox, to which a rebuild brings messages back that nothing refers to. With LayoutIndex it is not its
// directory: of that Dovecot would make a mailbox that is called like it.
func (b *Mailbox) origin() string {
	if b.store.location.Layout != LayoutIndex {
		return b.dir
	}
	storage, err := b.store.codec().Storage(b.name)
	if err != nil {
		return ""
	}
	return storage
}

// storageName returns the name that Dovecot has for the mailbox below its namespace, with the separator of the layout.
func (b *Mailbox) storageName() string {
	switch {
	case b.store.location.Layout != LayoutPlusPlus:
		return b.origin()
	case b.dir == "":
		return mailboxlist.Inbox
	}
	return strings.TrimPrefix(b.dir, ".")
}

// Moved reports whether the mailbox's name leads to another directory by now, or to none. Only with LayoutIndex a mailbox keeps
// its directory when it is renamed; in other layouts the directory is the name, and every method finds what is there now.
func (b *Mailbox) Moved() bool {
	if b.store.location.Layout != LayoutIndex {
		return false
	}
	dir, err := b.store.list.dir(b.name)
	return errors.Is(err, ErrNotFound) || err == nil && dir != b.dir
}

// MemoryBytes is about how much memory the mailbox's state takes.
func (b *Mailbox) MemoryBytes() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.index.State()
	perMessage := 5
	for _, e := range s.Exts() {
		perMessage += int(e.RecordSize)
	}
	n := int64(s.Len()*perMessage) + 4096
	if b.maildir != nil {
		n += b.maildir.MemoryBytes()
	}
	return n
}

// refresh brings the state up to date and returns it. b.mu is held, and must be until the state is no longer used.
func (b *Mailbox) refresh() (*index.State, error) { return b.refreshWith((*index.Index).Refresh) }

// refreshFlags is refresh for who does not need records of extensions.
func (b *Mailbox) refreshFlags() (*index.State, error) {
	return b.refreshWith((*index.Index).RefreshFlags)
}

func (b *Mailbox) refreshWith(refresh func(*index.Index) (bool, error)) (*index.State, error) {
	if err := b.store.format.refresh(b); err != nil {
		return nil, err
	}
	if _, err := refresh(b.index); errors.Is(err, index.ErrDeleted) {
		return nil, fmt.Errorf("%w: %s: %w", ErrNotFound, b.name, err)
	} else if err != nil {
		return nil, fmt.Errorf("mdbox: read mailbox %s: %w", b.name, err)
	}
	s := b.index.State()
	if s.UIDValidity() == 0 {
		return nil, fmt.Errorf("%w: %s", ErrNotInitialised, b.name)
	}
	return s, nil
}

// update brings the state up to date if that is possible.
func (b *Mailbox) update() {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, _ = b.refresh() // a call that needs the state finds the error again
}

// guid returns the GUID of the mailbox. Damage leaves zeroes.
func (b *Mailbox) guid(s *index.State) [16]byte {
	guid, err := b.store.format.mailboxGUID(b, s)
	if err != nil {
		b.store.options.Report(vfs.At(err, b.Dir()+"/"+index.DefaultPrefix, 0))
	}
	return guid
}

// header returns the mdbox header of the index. Damage leaves zeroes.
func (b *Mailbox) header(s *index.State) index.MdboxHeader {
	e := s.Ext(index.ExtMdboxHeader)
	if e == nil {
		return index.MdboxHeader{}
	}
	h, err := index.DecodeMdboxHeader(e.Header())
	if err != nil {
		b.store.options.Report(vfs.At(err, b.Dir()+"/"+index.DefaultPrefix, 0))
	}
	return h
}

func (b *Mailbox) position(s *index.State) Position {
	return Position{Mailbox: b.guid(s), ModSeqs: s.HasModSeqs(), Index: s.Position()}
}

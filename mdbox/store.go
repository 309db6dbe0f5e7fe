package mdbox

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"

	"github.com/roostmail/roost/mdbox/cache"
	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/mapindex"
	"github.com/roostmail/roost/mdbox/vfs"
)

// Options say how to read a store. The zero value is usable.
type Options struct {
	FS vfs.FS // nil: vfs.OS
	// AttachmentDir is mail_attachment_dir; empty: messages with attachments in
	// files of their own can not be read.
	AttachmentDir string
	// Attributes is the path of the file of mailboxes' annotations (mail_attribute_dict); empty: there are none.
	Attributes string
	// Cache keeps dovecot.index.cache files. Stores may share one, and should; nil: one of its own.
	Cache *cache.Files
	// MaxOpenFiles is how many m.N files of the store stay open; 0 = the default of package dbox.
	MaxOpenFiles int
	// MaxMessageSize bounds a message after decompression, in bytes; 0 = the default of package dbox.
	MaxMessageSize uint64
	// MaxStateBytes bounds the memory of one index, in bytes; 0 = the default of package index.
	MaxStateBytes int64
	// MaxMailboxes bounds the mailboxes that are listed; 0 = the default of package mailboxlist.
	MaxMailboxes int
	// NoInbox: INBOX is not the user's one (namespaces with inbox = false), but a mailbox as others. But in LayoutPlusPlus it is the root
	// of all others in any case, so it is not deleted.
	NoInbox bool
	// Write says how the store is written; nil: it is not.
	Write *Writing
	// Report is told about damage that did not keep an answer from being given,
	// such as that of a cache file. It may be called by several goroutines at once. nil: not told.
	Report func(error)
}

// Store is a user's mail: mailboxes, and the m.N files that they share. It is
// safe for concurrent use.
type Store struct {
	location Location
	format   format
	options  Options
	files    *dbox.Files
	ownCache bool
	list     listIndex
	leaves   mailboxlist.Leaves // of LayoutFS
	locks    *filelock.Config   // nil: the store is read-only
	former   formerIndexes
	sizes    wrongSizes

	mu       sync.Mutex
	messages *mapindex.Map // nil: not opened yet

	interrupted sync.Once // see finishInterrupted

	// writer has room for one token: who put it there may use writeMap, and lock MAP.
	writer chan struct{}
	// writeMap is the map as its writers see it. Readers have their own, since a writer may have to wait for MAP for minutes.
	writeMap *mapindex.Map // nil: not opened yet
	// marker says that this process may change the store; nil: it has not yet.
	marker vfs.WritableFile
	// recount: references may be counted too high.
	recount atomic.Bool
}

// New returns the store at a location. It touches no file: a store that does not
// exist is one without mailboxes.
func New(l Location, o Options) *Store {
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if o.Report == nil {
		o.Report = func(error) {}
	}
	s := &Store{location: l, format: newFormat(l.Format), options: o, writer: make(chan struct{}, 1)}
	s.locks = newLocks(&s.options)
	s.list.store = s
	if o.Cache == nil {
		s.options.Cache = cache.NewFiles(cache.Config{FS: o.FS})
		s.ownCache = true
	}
	s.files = dbox.NewFiles(s.filesConfig())
	return s
}

func (s *Store) filesConfig() dbox.Config {
	o := &s.options
	c := dbox.Config{
		FS:             o.FS,
		StorageDir:     s.location.storageDir(),
		AltDir:         s.location.altStorageDir(),
		AttachmentDir:  o.AttachmentDir,
		MaxOpenFiles:   o.MaxOpenFiles,
		MaxMessageSize: o.MaxMessageSize,
	}
	if w := o.Write; w != nil {
		c.RotateSize, c.RotateInterval, c.Preallocate = w.RotateSize, w.RotateInterval, w.Preallocate
		c.SaveCompression, c.Now = w.Compression, w.Now
		c.Perms = func() (vfs.Perm, fs.FileMode, error) {
			p, err := s.permissions("")
			return p.File, p.Dir, err
		}
	}
	return c
}

// Location returns where the store is.
func (s *Store) Location() Location { return s.location }

// Close closes the files of the store. Its mailboxes and messages must not be used any more.
func (s *Store) Close() error {
	s.report("remove the marker", s.unmark())
	err := s.files.Close()
	if s.ownCache {
		err = errors.Join(err, s.options.Cache.Close())
	}
	return err
}

// CloseIdle closes the m.N files that are not being read. They are opened again when they are needed.
func (s *Store) CloseIdle() { s.files.CloseIdle() }

// MemoryBytes is about how much memory the store takes, without its mailboxes.
func (s *Store) MemoryBytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	const fixed, perMessage = 4096, 5 + 12 + 2
	n := fixed + s.list.memoryBytes() + s.leaves.MemoryBytes()
	if s.messages != nil {
		n += perMessage * int64(s.messages.Len())
	}
	return n
}

// lookup returns where the message with a map UID is, and the map's UIDVALIDITY.
// It reads what is new in the map if the UID is unknown, or if fresh is set.
// The error is a *vfs.CorruptError for a damaged map or record.
func (s *Store) lookup(uid mapindex.UID, fresh bool) (ref dbox.Ref, uidValidity uint32, found bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh = fresh && s.messages != nil
	if err := s.openMap(); err != nil {
		return ref, 0, false, err
	}
	e, found, err := s.messages.Lookup(uid)
	if !found || err != nil || fresh {
		if _, err := s.messages.Refresh(); err != nil {
			return ref, 0, false, fmt.Errorf("mdbox: read map: %w", err)
		}
		e, found, err = s.messages.Lookup(uid)
	}
	return dbox.Ref{File: dbox.FileID(e.FileID), Offset: e.Offset, Size: e.Size}, s.messages.UIDValidity(), found, err
}

// openMap opens the map for reading, if it is not open. s.mu is held.
func (s *Store) openMap() error {
	if s.messages != nil {
		return nil
	}
	m, err := mapindex.Open(s.location.mapDir(), index.Options{FS: s.options.FS, MaxStateBytes: s.options.MaxStateBytes})
	if err != nil {
		return fmt.Errorf("mdbox: open map: %w", err)
	}
	s.messages = m
	return nil
}

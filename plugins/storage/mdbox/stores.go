package mdbox

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/cache"
)

// filesPerStore is how many m.N files one store keeps open. Few are used at a
// time: new mail is in the last one.
const filesPerStore = 4

// stores keeps what was read, within the limits of the settings.
type stores struct {
	settings   settings
	groups     groupCache
	located    places
	namespaces map[string]*namespace
	log        *slog.Logger
	recovered  recovered
	diskFull   atomic.Int64   // Unix time in seconds of the last report that a disk is full
	write      *mdbox.Writing // nil: nothing is written
	cache      *cache.Files   // dovecot.index.cache of all users
	stores     *lru[place, *mdbox.Store]
	mailboxes  *lru[mailboxKey, *openMailbox]
	files      *lru[place, storeFiles]
}

// mailboxKey names a mailbox of a store.
type mailboxKey struct {
	place place
	name  string
}

// openMailbox is a mailbox together with its store, which stays open as long.
type openMailbox struct {
	*mdbox.Mailbox
	store        *mdbox.Store
	releaseStore func()
}

func (m *openMailbox) Close() error {
	m.releaseStore()
	return nil
}

// storeFiles are the m.N files that a store keeps open.
type storeFiles struct{ store *mdbox.Store }

func (f storeFiles) Close() error       { f.store.CloseIdle(); return nil }
func (f storeFiles) MemoryBytes() int64 { return 0 }

// newStores divides cache_bytes: half for mailboxes, a quarter for maps, and a quarter
// for dovecot.index.cache files. Half of max_open_files are m.N files, half caches.
func newStores(set settings, namespaces map[string]*namespace, log *slog.Logger) *stores {
	c := &stores{
		settings:   set,
		namespaces: namespaces,
		write:      &set.write,
		log:        log,
		cache:      cache.NewFiles(cache.Config{MaxOpenFiles: max(1, set.maxFiles/2), MaxMemory: set.cacheBytes / 4}),
		stores:     newLRU[place, *mdbox.Store](set.maxStores, set.cacheBytes/4),
		mailboxes:  newLRU[mailboxKey, *openMailbox](set.maxMailboxes, set.cacheBytes/2),
		files:      newLRU[place, storeFiles](max(1, set.maxFiles/2/filesPerStore), 0),
	}
	c.groups.ttl = set.groupsTTL
	c.stores.idle, c.mailboxes.idle, c.files.idle = set.closeIdle, set.closeIdle, set.closeIdle
	c.mailboxes.emptied = func() {
		c.cache.CloseIdle()
		c.groups.rest()
		c.located.forget()
	}
	return c
}

func (c *stores) close() {
	c.files.close()
	c.mailboxes.close()
	c.stores.close()
	_ = c.cache.Close() // it was only read
}

// store returns the store at p until release is called.
func (c *stores) store(p place) (s *mdbox.Store, release func(), err error) {
	return c.stores.acquire(p, func() (*mdbox.Store, error) {
		fsys, err := p.owner.files(&c.groups)
		if err != nil {
			return nil, err
		}
		s := mdbox.New(p.location, mdbox.Options{
			FS:             fsys,
			Write:          c.writingFor(&c.namespaces[p.namespace].Namespace),
			AttachmentDir:  p.attachments,
			Attributes:     p.attributes,
			Cache:          c.cache,
			NoInbox:        c.namespaces[p.namespace].noInbox,
			MaxOpenFiles:   filesPerStore,
			MaxMessageSize: uint64(c.settings.maxMessage),
			MaxMailboxes:   c.settings.maxTree,
			Report:         c.report,
		})
		c.recovered.recover(p, s)
		return s, nil
	})
}

// mailbox returns an open mailbox until release is called. One that has another name by now is not used any more.
func (c *stores) mailbox(p place, name string) (m *openMailbox, release func(), err error) {
	key := mailboxKey{p, name}
	m, release, err = c.open(key)
	if err == nil && m.Moved() {
		release()
		c.mailboxes.forget(key)
		return c.open(key)
	}
	return m, release, err
}

func (c *stores) open(key mailboxKey) (m *openMailbox, release func(), err error) {
	p, name := key.place, key.name
	return c.mailboxes.acquire(key, func() (*openMailbox, error) {
		s, releaseStore, err := c.store(p)
		if err != nil {
			return nil, err
		}
		m, err := s.OpenMailbox(name)
		if errors.Is(err, mdbox.ErrNotFound) && c.write != nil {
			m, err = c.makeAuto(s, p, name)
		}
		if err != nil {
			releaseStore()
			return nil, err
		}
		return &openMailbox{m, s, releaseStore}, nil
	})
}

// useFiles lets a store keep m.N files open, until the files of too many other stores were used
// since. The caller calls release when it has read what it wants.
func (c *stores) useFiles(p place, s *mdbox.Store) (release func()) {
	_, release, err := c.files.acquire(p, func() (storeFiles, error) { return storeFiles{s}, nil })
	if err != nil { // closed: reading will fail as well
		return func() {}
	}
	return release
}

// report logs what a store has worked around. A full disk is reported once a second at most: every change meets it.
func (c *stores) report(err error) {
	if kind, _ := classify(err); kind == backend.KindOverQuota {
		if now := time.Now().Unix(); c.diskFull.Swap(now) == now {
			return
		}
	}
	c.log.Warn("damage was worked around", "err", err)
}

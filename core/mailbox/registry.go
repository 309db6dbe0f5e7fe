package mailbox

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// Config holds the settings of a Registry.
type Config struct {
	// Warm is how long a mailbox without a session stays open.
	Warm time.Duration
	// JournalBytes bounds the journal of one mailbox, [limits] mailbox_journal.
	JournalBytes int
	// PollInterval is how often a mailbox without a watch is asked for changes
	// on behalf of idling sessions, and one that could not be asked is asked again. 0 = never.
	PollInterval time.Duration
	// Statuses is of how many mailboxes STATUS values are remembered, [limits] status_cache. 0 = none.
	Statuses int
}

// DefaultConfig is used where nothing else is configured.
var DefaultConfig = Config{Warm: 5 * time.Second, JournalBytes: 1 << 20, PollInterval: 30 * time.Second, Statuses: 8192}

// Registry holds the open mailboxes.
type Registry struct {
	cfg      Config
	storage  backend.Storage
	watcher  backend.Watcher // nil = storage has no watches
	log      *slog.Logger
	onChange func(id uint32)
	pollFunc atomic.Pointer[func()]

	mu    sync.RWMutex
	byKey map[key]*Mailbox
	slots []*Mailbox // by id; [0] is never used
	free  []uint32   // unused ids

	statuses knownStatuses
	watches  map[int32][]*Mailbox
	epoch    uint64     // of the watches; WatchLost begins a new one
	events   uint64     // how many there were, of which
	recent   [256]int32 // these were the watches of the last ones: event n in [n % 256]

	stop   chan struct{}
	closed bool
	wg     sync.WaitGroup
	ctx    context.Context // of calls that no session waits for
	cancel context.CancelFunc
}

type key struct{ user, namespace, name string }

// NewRegistry returns an empty registry. onChange is called, from any goroutine
// and without locks held, when the sessions of a mailbox should look at it: there is a new
// version, or storage announced a change. It must not block.
//
// storage may also implement backend.Watcher; whoever reads its descriptor calls
// WatchEvent and WatchLost. Close ends the goroutine that NewRegistry starts.
func NewRegistry(cfg Config, storage backend.Storage, onChange func(id uint32), log *slog.Logger) *Registry {
	r := &Registry{
		cfg:      cfg,
		storage:  storage,
		log:      log,
		onChange: onChange,
		byKey:    map[key]*Mailbox{},
		slots:    make([]*Mailbox, 1),
		watches:  map[int32][]*Mailbox{},
		stop:     make(chan struct{}),
	}
	r.statuses.init(cfg.Statuses)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	if w, ok := storage.(backend.Watcher); ok && storage.Info().Has(backend.CapWatchFD) {
		r.watcher = w
	}
	if cfg.PollInterval > 0 {
		r.wg.Add(1)
		go r.pollUnwatched() // ends with Close
	}
	return r
}

// Close forgets all mailboxes and waits for what the registry has started.
func (r *Registry) Close() {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return
	}
	r.closed = true
	close(r.stop)
	r.mu.Unlock()
	r.cancel()
	r.wg.Wait()
}

// Open returns a mailbox in its newest state, with the session counted in at the view's
// version. The caller ends with Mailbox.Close. Errors are those of storage's Open.
func (r *Registry) Open(ctx context.Context, ref backend.MailboxRef) (*Mailbox, *View, error) {
	for {
		m := r.acquire(ref)
		if !r.holdsName(ctx, m) {
			m.Doubt()
		}
		err := m.Refresh(ctx)
		if err == nil {
			m.mu.Lock()
			v := m.cur.Load()
			if err = m.lost; err == nil {
				m.journal.pin(v.Version)
				m.mu.Unlock()
				return m, v, nil
			}
			m.mu.Unlock()
		}
		r.release(m)
		// A kept entry that turned out to be of an older mailbox: a new entry
		// decides what is there now. Only a loaded entry can be lost, so this ends.
		if err != ErrReplaced && err != ErrDeleted {
			return nil, nil, err
		}
	}
}

// Get returns the mailbox with an id, or nil. The caller must be a session that refers to it.
func (r *Registry) Get(id uint32) *Mailbox {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if int64(id) >= int64(len(r.slots)) {
		return nil
	}
	return r.slots[id]
}

// Stats are sums over all mailboxes.
type Stats struct {
	Mailboxes    int
	Statuses     int // remembered
	Watched      int
	Messages     uint64
	JournalBytes uint64
}

// Stats walks over all mailboxes.
func (r *Registry) Stats() Stats {
	var s Stats
	r.mu.RLock()
	s.Statuses = r.statuses.recent.Len()
	r.mu.RUnlock()
	for _, m := range r.all() {
		s.Mailboxes++
		if m.watched.Load() {
			s.Watched++
		}
		if v := m.Current(); v != nil {
			s.Messages += uint64(v.Len())
		}
		m.mu.Lock()
		s.JournalBytes += uint64(m.journal.bytes)
		m.mu.Unlock()
	}
	return s
}

// all returns the mailboxes of this moment.
func (r *Registry) all() []*Mailbox {
	r.mu.RLock()
	defer r.mu.RUnlock()
	ms := make([]*Mailbox, 0, len(r.slots))
	for _, m := range r.slots {
		if m != nil {
			ms = append(ms, m)
		}
	}
	return ms
}

// acquire returns the entry of ref, made if need be, with one more reference.
func (r *Registry) acquire(ref backend.MailboxRef) *Mailbox {
	k := key{ref.User.Name, ref.Namespace, ref.Name}
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.byKey[k]
	if m == nil {
		m = &Mailbox{r: r, key: k, turn: make(chan struct{}, 1)}
		if n := len(r.free); n > 0 {
			m.id, r.free = r.free[n-1], r.free[:n-1]
			r.slots[m.id] = m
		} else {
			m.id = uint32(len(r.slots))
			r.slots = append(r.slots, m)
		}
		r.byKey[k] = m
	}
	m.refs++
	m.closing++ // an expiry under way is void
	m.ref.Store(&ref)
	return m
}

// release gives back one reference. The last one starts the expiry.
func (r *Registry) release(m *Mailbox) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.refs--; m.refs > 0 {
		return
	}
	m.closing++
	if m.cur.Load() == nil || m.detached || r.cfg.Warm <= 0 || r.closed {
		r.remove(m)
		return
	}
	generation := m.closing
	time.AfterFunc(r.cfg.Warm, func() { r.expire(m, generation) })
}

// expire frees a mailbox that nobody has used since its expiry was started.
func (r *Registry) expire(m *Mailbox, generation uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.closing == generation && !r.closed {
		r.remove(m)
	}
}

// remove frees an entry without references. The caller holds mu.
func (r *Registry) remove(m *Mailbox) {
	r.detach(m)
	r.dropWatch(m)
	r.slots[m.id] = nil
	r.free = append(r.free, m.id)
}

// detach makes that m is not found by its name any more. The caller holds mu.
func (r *Registry) detach(m *Mailbox) {
	if !m.detached {
		m.detached = true
		delete(r.byKey, m.key)
	}
}

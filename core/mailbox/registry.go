package mailbox

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/users"
)

// Config holds the settings of a Registry.
type Config struct {
	// Warm is how long a mailbox stays open after its last use, [limits] mailbox_warm. Then it sleeps, or is
	// forgotten if no session refers to it. One that was not used again so soon the last time may sleep after a second (Registry.rest).
	Warm time.Duration
	// ViewCache bounds the sum of all views and journals in bytes, [limits] view_cache: beyond it the least recently used
	// mailboxes sleep at once. Those in use may exceed it. 0 = no bound.
	ViewCache int64
	// JournalBytes bounds the journal of one mailbox, [limits] mailbox_journal.
	JournalBytes int
	// PollInterval is how often a mailbox without a watch is asked for changes
	// on behalf of idling sessions, and one that could not be asked is asked again. 0 = never.
	PollInterval time.Duration
	// Statuses is of how many mailboxes STATUS values are remembered, [limits] status_cache. 0 = none.
	Statuses int

	// Shared keeps the entries in memory that outlives the process; Tables are memfds of another process, by name: New takes its own over, and out of the map, and
	// Inherit must follow.
	Shared bool
	Tables map[string]int
}

// DefaultConfig is used where nothing else is configured.
var DefaultConfig = Config{Warm: 5 * time.Second, ViewCache: 256 << 20, JournalBytes: 1 << 20, PollInterval: 30 * time.Second, Statuses: 8192}

// Registry holds the mailboxes that sessions refer to.
type Registry struct {
	*tables
	cfg      Config
	storage  backend.Storage
	watcher  backend.Watcher // nil = storage has no watches
	log      *slog.Logger
	onChange func(id uint32)
	pollFunc atomic.Pointer[func()]
	news     atomic.Pointer[func(u *backend.User, c backend.MailboxChange)]

	dirtyCount   atomic.Int64 // entries with bitDirty
	watchedCount atomic.Int64 // entries with bitWatched

	mu                     sync.RWMutex        // guards the entries too
	open                   map[uint32]*Mailbox // those that do not sleep
	resting                resting             // those of them that nobody holds
	bytes                  int64               // of all that rest, and of those held when they last did
	timer                  *time.Timer         // of sweep, if
	armed                  bool                // it runs
	sweepAt                time.Time           // until then
	governed               bool                // somebody else says what falls asleep: see Govern
	parked, wakes, evicted uint64              // totals

	attached *attached // tables of another process, until Inherit has been called

	statuses  knownStatuses
	follows   follows
	epoch     uint64 // of the watches; WatchLost begins a new one
	more      moreWatches
	elsewhere elsewhere  // what other servers have changed a moment ago
	events    uint64     // how many there were, of which
	recent    [256]int32 // these were the watches of the last ones: event n in [n % 256]
	back      []int32    // watches to give back, by a goroutine
	unwatches bool       // that runs

	stop   chan struct{}
	closed bool
	wg     sync.WaitGroup
	ctx    context.Context // of calls that no session waits for
	cancel context.CancelFunc
}

// key names a mailbox.
type key struct{ user, namespace, name string }

// NewRegistry returns an empty registry. onChange is called, from any goroutine
// and without locks held, when the sessions of a mailbox should look at it: there is a new
// version, or storage announced a change. It must not block.
//
// storage may also implement backend.Watcher; whoever reads its descriptor calls
// WatchEvent and WatchLost. Close ends the goroutine that NewRegistry starts. It fails if the system refuses memory.
func NewRegistry(cfg Config, storage backend.Storage, onChange func(id uint32), log *slog.Logger) (*Registry, error) {
	t, attached, err := openTables(cfg)
	if err != nil {
		return nil, fmt.Errorf("mailbox: %w", err)
	}
	r := &Registry{
		tables:   t,
		attached: attached,
		cfg:      cfg,
		storage:  storage,
		log:      log,
		onChange: onChange,
		open:     map[uint32]*Mailbox{},
		stop:     make(chan struct{}),
	}
	runtime.AddCleanup(r, (*tables).close, t) // not in Close: who is late must find the entries
	r.statuses.init(cfg.Statuses)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	if w, ok := storage.(backend.Watcher); ok && storage.Info().Has(backend.CapWatchFD) {
		r.watcher = w
	}
	if cfg.PollInterval > 0 {
		r.wg.Add(1)
		go r.pollUnwatched() // ends with Close
	}
	return r, nil
}

// Users returns the table of users, whose ids the entries refer to.
func (r *Registry) Users() *users.Users { return r.users }

// Close forgets all mailboxes and waits for what the registry has started.
func (r *Registry) Close() {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return
	}
	r.closed = true
	if r.timer != nil {
		r.timer.Stop()
	}
	close(r.stop)
	r.mu.Unlock()
	r.cancel()
	r.wg.Wait()
}

// Open returns a mailbox in its newest state, with the session counted in at the view's
// version. The session ends with Leave, the caller's use of the Mailbox with Release; Mailbox.Close does both. Errors are those of storage's Open.
func (r *Registry) Open(ctx context.Context, ref backend.MailboxRef) (*Mailbox, *View, error) {
	for {
		m, err := r.acquire(ref)
		if err != nil {
			return nil, nil, &backend.Error{Kind: backend.KindUnavailable, Message: "Too many mailboxes are in use.", Cause: err}
		}
		if !r.holdsName(ctx, m) {
			m.Doubt()
		}
		if err = m.Refresh(ctx); err == nil {
			m.mu.Lock()
			v := m.cur.Load()
			if err = m.lost; err == nil {
				m.journal.pin(v.Version)
				m.changed = true
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

// acquire returns the entry of ref, made if need be, with one more reference, awake.
func (r *Registry) acquire(ref backend.MailboxRef) (*Mailbox, error) {
	user, err := r.users.Hold(ref.User)
	if err != nil {
		return nil, err
	}
	name, err := r.names.Hold(appendName(nil, ref.Namespace, ref.Name))
	if err != nil {
		r.users.Drop(user)
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	id := r.find(user, name)
	if id == 0 {
		if id, err = r.add(user, name); err != nil {
			r.users.Drop(user)
			r.names.Drop(name)
			return nil, err
		}
	} else {
		r.names.Drop(name)
		r.belongsTo(id, user)
	}
	r.entries.At(id).refs++
	m := r.hold(id)
	m.ref.Store(&ref)
	return m, nil
}

// release takes back what acquire has given.
func (r *Registry) release(m *Mailbox) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.e.refs--
	r.letGo(m)
}

// Leave ends a session's use of a mailbox, at the version it stands at. owner is that of its claims.
func (r *Registry) Leave(id uint32, version, owner uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.at(id)
	if e == nil || e.refs == 0 {
		return
	}
	e.refs--
	m := r.open[id]
	if m == nil {
		if e.refs > 0 {
			r.leaveSaved(id, e, version, owner)
		} else {
			r.remove(id) // its view is not kept, so it is of no use to who comes next
		}
		return
	}
	m.mu.Lock()
	m.journal.unpin(version)
	m.unclaim(owner)
	m.changed = true
	m.mu.Unlock()
	if m.holds == 0 { // it begins to wait anew
		m.holds++
		r.letGo(m)
	}
}

// Get returns the mailbox with an id if it is awake, else nil.
func (r *Registry) Get(id uint32) *Mailbox {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.open[id]
}

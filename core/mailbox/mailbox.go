package mailbox

import (
	"sync"
	"sync/atomic"

	"github.com/roostmail/roost/core/backend"
)

// Mailbox is the entry of one mailbox, shared by all its sessions. All methods
// are safe for concurrent use.
type Mailbox struct {
	r   *Registry
	id  uint32
	key key
	ref atomic.Pointer[backend.MailboxRef] // with the User of the latest login

	cur   atomic.Pointer[View] // nil until loaded
	dirty atomic.Bool          // storage may have something newer
	// watched: the kernel tells of every change through the watch registered in Registry.watches.
	watched atomic.Bool

	// One refresh at a time; who holds the turn may touch the fields below it.
	turn   chan struct{} // capacity 1; holding it = having sent
	asked  atomic.Uint64 // tickets given out to callers of Refresh
	served uint64        // tickets up to here are answered by
	result error         // this
	// watchable: the last Open gave a watch. When that is lost, the next refresh opens, to have a new one.
	watchable bool

	mu       sync.Mutex
	journal  journal
	position []byte   // of cur in storage's history; written by who holds the turn, too
	lost     error    // ErrReplaced or ErrDeleted: detached from the registry
	old      [4]*View // rebuilt views, most recent first
	updates  [4]*Update
	notes    []memo
	claims   []claim // who has which \Recent messages, oldest first

	// guarded by Registry.mu
	refs      int    // sessions
	closing   uint64 // generation of the expiry timer
	watch     int32  // 0 = none
	watchName string
	detached  bool // not found by its key any more
}

// ID returns the id that Registry.Get takes. It is valid as long as a session refers to the mailbox.
func (m *Mailbox) ID() uint32 { return m.id }

// Ref names the mailbox for storage calls. It is not to be changed.
func (m *Mailbox) Ref() *backend.MailboxRef { return m.ref.Load() }

// Current returns the newest view that is known.
func (m *Mailbox) Current() *View { return m.cur.Load() }

// Version returns the version of Current.
func (m *Mailbox) Version() uint64 {
	if v := m.cur.Load(); v != nil {
		return v.Version
	}
	return 0
}

// Dirty reports whether a change was announced that Refresh has not fetched
// yet. Unlike Clean it asks nobody: a change may be on its way.
func (m *Mailbox) Dirty() bool { return m.dirty.Load() }

// Doubt makes the next Refresh ask storage, although no change was announced.
func (m *Mailbox) Doubt() { m.dirty.Store(true) }

// Clean reports whether Current is known to be the newest state of the mailbox
// at this moment. Always false for a mailbox without a watch. It does not block.
func (m *Mailbox) Clean() bool {
	if !m.watched.Load() || m.dirty.Load() {
		return false
	}
	return m.r.poll() && m.watched.Load() && !m.dirty.Load() && m.cur.Load() != nil
}

// Stale reports whether there is a change that Refresh has not fetched yet, as far as can
// be known without a call: exactly for a mailbox with a watch, else as announced.
func (m *Mailbox) Stale() bool {
	if m.watched.Load() {
		return !m.Clean()
	}
	return m.dirty.Load()
}

// At returns the view of a version that a session stands at.
func (m *Mailbox) At(version uint64) (*View, error) {
	if v := m.cur.Load(); v != nil && v.Version == version {
		return v, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at(version)
}

func (m *Mailbox) at(version uint64) (*View, error) {
	cur := m.cur.Load()
	if cur.Version == version {
		return cur, nil
	}
	if !m.journal.has(version) {
		return nil, m.goneError()
	}
	for i, v := range m.old {
		if v != nil && v.Version == version {
			copy(m.old[1:i+1], m.old[:i])
			m.old[0] = v
			return v, nil
		}
	}
	v := m.journal.rebuild(cur, version)
	copy(m.old[1:], m.old[:])
	m.old[0] = v
	return v, nil
}

func (m *Mailbox) goneError() error {
	if m.lost != nil {
		return m.lost
	}
	return ErrHistoryGone
}

// Catchup returns what a session at a version must be told to come to the newest
// version known. With noExpunge it goes only as far as possible without an
// EXPUNGE, which may not be sent now (RFC 3501 §7.4.1). The Update is shared.
//
// It returns ErrHistoryGone, and ErrReplaced or ErrDeleted once the session has all that came before.
func (m *Mailbox) Catchup(version uint64, noExpunge bool) (*Update, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	cur := m.cur.Load()
	if version == cur.Version {
		if m.lost != nil {
			return nil, m.lost
		}
		return &Update{From: cur, To: cur}, nil
	}
	from, err := m.at(version)
	if err != nil {
		return nil, err
	}
	steps := m.journal.between(version, cur.Version)
	if noExpunge {
		steps = steps[:beforeExpunge(steps, from.UIDNext)]
	}
	to, err := m.at(version + uint64(len(steps)))
	if err != nil {
		return nil, err
	}
	for _, u := range m.updates {
		if u != nil && u.From.Version == version && u.To == to {
			return u, nil
		}
	}
	u := makeUpdate(from, to, steps)
	copy(m.updates[1:], m.updates[:])
	m.updates[0] = u
	return u, nil
}

// Advance moves a session from one version to another.
func (m *Mailbox) Advance(from, to uint64) {
	if from == to {
		return
	}
	m.mu.Lock()
	m.journal.pin(to)
	m.journal.unpin(from)
	m.mu.Unlock()
}

// Close ends a session's use of the mailbox, at the version it stands at.
func (m *Mailbox) Close(version uint64) {
	m.mu.Lock()
	m.journal.unpin(version)
	m.mu.Unlock()
	m.r.release(m)
}

// install makes v the current view. d leads to it from the one before; nil for the first.
// The caller holds mu.
func (m *Mailbox) install(v *View, d *delta) {
	m.cur.Store(v)
	if d == nil {
		m.journal = newJournal(v.Version, m.r.cfg.JournalBytes)
		return
	}
	m.journal.add(d)
	clear(m.old[:])
	clear(m.updates[:])
	m.notes = nil
}

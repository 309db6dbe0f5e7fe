package mailbox

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// Mailbox is an open mailbox: what its entry says, and its views. It is shared by all sessions, and exists as long as somebody
// holds it (Registry.Open, Wake) or it is warm. All methods are safe for concurrent use, by who holds it.
type Mailbox struct {
	r     *Registry
	id    uint32
	e     *entry
	ref   atomic.Pointer[backend.MailboxRef] // with the User of the latest login
	table *flagTable

	cur atomic.Pointer[View] // nil until loaded

	// One refresh at a time; who holds the turn may touch the fields below it.
	turn   chan struct{} // capacity 1; holding it = having sent
	asked  atomic.Uint64 // tickets given out to callers of Refresh
	served uint64        // tickets up to here are answered by
	result error         // this
	// watchable: the last Open gave a watch. When that is lost, the next refresh opens, to have a new one.
	watchable bool
	saved     *saved // what it fell asleep with; nil: nothing, or loaded. Changed by who holds mu too

	mu       sync.Mutex
	journal  journal
	position []byte   // of cur in storage's history; written by who holds the turn, too
	lost     error    // ErrReplaced or ErrDeleted: detached from the registry
	old      [4]*View // rebuilt views, most recent first
	updates  [4]*Update
	notes    []memo
	findings []*Finding // the oldest first
	seeking  []*Seeking // by who works with it
	claims   []claim    // who has which \Recent messages, oldest first
	changed  bool       // the entry does not say all of this

	// guarded by Registry.mu
	holds  int           // who works with it
	queued *list.Element // of a list of Registry.resting; nil while somebody holds it
	in     *list.List    // that list
	used   time.Time     // when it was put there
	kept   time.Time     // until then Candidates does not offer it
	bytes  int64         // as counted in Registry.bytes
}

// ID returns the id that Registry.Wake takes. It is valid as long as a session refers to the mailbox, asleep or not.
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
func (m *Mailbox) Dirty() bool { return m.e.has(bitDirty) }

// Doubt makes the next Refresh ask storage, although no change was announced.
func (m *Mailbox) Doubt() { m.r.mark(m.e, bitDirty) }

// Clean reports whether Current is known to be the newest state of the mailbox
// at this moment. Always false for a mailbox without a watch. It does not block.
func (m *Mailbox) Clean() bool { return m.cur.Load() != nil && m.r.clean(m.e) }

// Stale reports whether there is a change that Refresh has not fetched yet, as far as can
// be known without a call: exactly for a mailbox with a watch, else as announced.
func (m *Mailbox) Stale() bool { return m.r.stale(m.e) }

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
	if cur == nil {
		return nil, m.goneError()
	}
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
	if cur == nil {
		return nil, m.goneError()
	}
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
	m.changed = true
	m.mu.Unlock()
}

// Close ends a session's use of the mailbox, at the version it stands at, and the caller's.
func (m *Mailbox) Close(version uint64) {
	m.r.Leave(m.id, version, 0)
	m.Release()
}

// install makes v the current view. d leads to it from the one before; nil: the journal has nothing to tell of.
// The caller holds mu.
func (m *Mailbox) install(v *View, d *delta) {
	m.cur.Store(v)
	if m.e.current() != v.Version {
		m.e.setCurrent(v.Version)
	}
	m.changed = true
	if d == nil {
		return
	}
	m.journal.add(d)
	clear(m.old[:])
	clear(m.updates[:])
	m.notes = nil
	m.tellStep(v, d)
}

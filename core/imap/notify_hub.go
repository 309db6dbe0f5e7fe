package imap

import (
	"container/list"
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/session"
)

// The settings that refuse something.
const (
	limitNotifySet           = "[limits] notify_set"
	limitNotifyUserMailboxes = "[limits] notify_user_mailboxes"
	limitNotifyMailboxes     = "[limits] notify_mailboxes"
)

// hubs tell sessions of mailboxes that they have not selected (NOTIFY, RFC 5465). There is a hub for each user with such
// sessions. A session costs a handle there, beside its set, which is shared by all who have asked for the same, and 8 bytes of its record (State.Aux): which
// version of the hub its client knows.
//
//	watch event ─▶ mailbox.Registry: stale, once ─▶ hub: every session of the user is signalled
//	the first that comes asks storage for all that is stale, in one call ─▶ next version of the hub
//	every session: the lines of what has changed since its version, each made once
//
// No goroutine and no timer belongs to a hub.
type hubs struct {
	srv    *Server
	signal atomic.Pointer[func(h session.Handle)]

	mu     sync.Mutex // guards the hubs
	byUser map[uint32]*hub
	byID   map[uint32]*hub // owners in mailbox.Registry: a hub never has the number of one that was before
	last   uint32          // id of the newest one
	polled uint32          // id of the one whose names were listed last by onPoll

	sessions, overflows                 atomic.Int64
	refusedSet, refusedUser, refusedAll session.RefusalCount
}

// hub is what is known for one user.
type hub struct {
	id      uint32
	user    uint32
	waiting int // sessions that are about to join
	sets    []*hubSet
	version uint64
	boxes   map[boxName]*hubBox
	order   list.List // of *hubBox, the one that changed last first

	names  *listing // nil: not listed yet
	events []*nameEvent
	forgot uint64          // version of the newest event that is not there any more
	hints  map[string]hint // by name
	relist bool            // names may have changed
	stale  bool            // values may have changed
	failed bool            // wait for the next poll before trying again
	turn   chan struct{}   // holds a token while somebody asks storage
	full   string          // the limit that does not allow what the sets ask for; "" = none

	server      annotations
	annotating  int    // commands of this server that are changing annotations
	annotatings uint64 // how many of these have begun or ended
}

type boxName struct{ namespace, name string }

// hubSet is a set with the sessions that have asked for it.
type hubSet struct {
	raw      string
	set      notifySet
	sessions []session.Handle
}

// hubBox is a followed mailbox.
type hubBox struct {
	listed *listed
	value  backend.MailboxStatus
	known  bool
	denied bool // it may be listed, and no more
	at     *list.Element

	annotations annotations
	doubtful    bool // annotations may be others

	messages, unseen, modseq uint64           // versions of the hub in which these changed last
	texts                    map[uint8][]byte // STATUS responses, by statusKind
}

// Aux bits of a session's State, below the version of the hub that its client knows. With none of them it is something else (recentRun).
const (
	notifyOn       uint64 = 1 << iota // there was a NOTIFY: what is not asked for is not told
	notifyNow                         // SELECTED: the selected mailbox is told of at any time
	notifyMessages                    // the selected mailbox: EXISTS and EXPUNGE
	notifyFlags                       // the selected mailbox: FETCH of changed flags
	notifyFetch                       // the selected mailbox: FETCH of new messages
	notifyOthers                      // other mailboxes: the session is listed at its user's hub
	notifyShift    = 8

	notifyBitsOf = 1<<notifyShift - 1 // all of these
)

func newHubs(srv *Server) *hubs {
	h := &hubs{srv: srv, byUser: map[uint32]*hub{}, byID: map[uint32]*hub{}}
	srv.boxes.OnStale(h.onStale)
	srv.boxes.OnPoll(h.onPoll)
	return h
}

// AttachSessions sets what is called when one session should look at what NOTIFY has to tell: session.Engine.SignalSession.
func (srv *Server) AttachSessions(signal func(h session.Handle)) { srv.hubs.signal.Store(&signal) }

// wanted reports whether there is something to do for a session that is listed at a hub.
func (h *hubs) wanted(st *session.State) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.byUser[st.User]
	return b != nil && (!b.failed && (b.relist || b.stale) && len(b.turn) == 0 || b.full != "" || b.version > st.Aux>>notifyShift)
}

// onStale is called when a mailbox that a hub follows may have changed.
func (h *hubs) onStale(id uint32) {
	h.announce(id, func(b *hub) { b.stale, b.failed = true, false })
}

// hubs returns those of the session's user.
func (r *request) hubs() []*hub { return r.srv.hubs.allOf(r.user().Name) }

// allOf returns the hubs of a user, by name: there is one for each set of userdb fields.
func (h *hubs) allOf(user string) (list []*hub) {
	if h.sessions.Load() == 0 {
		return nil
	}
	var ids []uint32
	h.srv.users.IDs(user, func(id uint32) bool {
		ids = append(ids, id)
		return true
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		if b := h.byUser[id]; b != nil {
			list = append(list, b)
		}
	}
	return list
}

// wrote is called when a command has changed, or may have changed, what is in a mailbox, or who may read it. kinds is what other servers are told; 0: nothing.
func (r *request) wrote(ref backend.MailboxRef, kinds backend.ChangeKinds) {
	r.srv.boxes.Wrote(ref, kinds)
	for _, b := range r.hubs() {
		r.srv.boxes.Doubt(b.id, ref.Namespace, ref.Name)
		r.srv.hubs.begin(b)
	}
}

// begin lets a hub whose sessions come from another process list what they follow, if it has not done so: until then it hears of no mailbox.
func (h *hubs) begin(b *hub) {
	h.mu.Lock()
	begun := b.names != nil
	h.mu.Unlock()
	if !begun {
		h.announce(b.id, func(*hub) {})
	}
}

// announce changes a hub and signals its sessions.
func (h *hubs) announce(id uint32, change func(b *hub)) {
	h.mu.Lock()
	b := h.byID[id]
	if b == nil {
		h.mu.Unlock()
		return
	}
	change(b)
	all := b.handles()
	h.mu.Unlock()
	h.signalAll(all, 0)
}

// handles returns the sessions of a hub. The caller holds mu.
func (b *hub) handles() (all []session.Handle) {
	for _, s := range b.sets {
		all = append(all, s.sessions...)
	}
	return all
}

func (h *hubs) signalAll(all []session.Handle, but session.Handle) {
	f := h.signal.Load()
	if f == nil {
		return
	}
	for _, x := range all {
		if x != but {
			(*f)(x)
		}
	}
}

// join lists a session at its user's hub with a set, and brings the hub up to date. After an error it is not listed.
// A session may be listed with two sets, until leave takes it off the old one.
func (h *hubs) join(ctx context.Context, s *session.Session, raw string, set notifySet) (*hub, error) {
	b := h.of(s)
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		h.mu.Lock()
		b.waiting--
		h.drop(b)
		h.mu.Unlock()
		return nil, &backend.Error{Kind: backend.KindCancelled, Cause: ctx.Err()}
	}
	// Nobody lists names while the set is tried.
	h.mu.Lock()
	b.waiting--
	b.add(s.Handle(), raw, set)
	b.relist = true
	h.mu.Unlock()
	h.sessions.Add(1)
	full, err := h.refresh(ctx, s, b, true)
	if err == nil && full != "" {
		err = h.refuse(s, full)
	}
	if err != nil {
		h.leave(s, raw)
		h.announce(b.id, func(b *hub) { b.relist = true })
		return nil, err
	}
	return b, nil
}

// of returns the hub of the session's user, which is kept until the caller has taken back hub.waiting.
func (h *hubs) of(s *session.Session) *hub {
	user := s.State().User
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.byUser[user]
	if b == nil {
		h.last++
		b = &hub{id: h.last, user: user, version: 1, boxes: map[boxName]*hubBox{}, turn: make(chan struct{}, 1)}
		h.byUser[user], h.byID[b.id] = b, b
	}
	b.waiting++
	return b
}

// drop takes a hub away that nobody needs, after a change of its waiting or sets. The caller holds mu.
func (h *hubs) drop(b *hub) {
	if b.waiting == 0 && len(b.sets) == 0 {
		delete(h.byUser, b.user)
		delete(h.byID, b.id)
	}
}

// refuse is the answer for a set that asks for too much (RFC 5465 §3.1).
func (h *hubs) refuse(s *session.Session, limit string) error {
	switch limit {
	case limitNotifySet:
		h.refusedSet.Hit(s, limit)
	case limitNotifyUserMailboxes:
		h.refusedUser.Hit(s, limit)
	default:
		h.refusedAll.Hit(s, limit)
	}
	return no("NOTIFICATIONOVERFLOW", "Too much to be notified of ("+limit+").")
}

func (b *hub) add(x session.Handle, raw string, set notifySet) {
	for _, s := range b.sets {
		if s.raw == raw {
			s.sessions = append(s.sessions, x)
			return
		}
	}
	b.sets = append(b.sets, &hubSet{raw: raw, set: set, sessions: []session.Handle{x}})
}

// leave takes a session off its user's hub. What nobody else wants is not followed any more.
func (h *hubs) leave(s *session.Session, raw string) {
	user := s.State().User
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.byUser[user]
	if b == nil {
		return
	}
	for i, set := range b.sets {
		at := slices.Index(set.sessions, s.Handle())
		if set.raw != raw || at < 0 {
			continue
		}
		h.sessions.Add(-1)
		last := len(set.sessions) - 1
		set.sessions[at] = set.sessions[last]
		if set.sessions = set.sessions[:last]; last > 0 {
			return
		}
		b.sets = slices.Delete(b.sets, i, i+1)
		h.forget(b, func(x *hubBox) bool { return !b.follows(x.listed) })
		h.drop(b)
		return
	}
}

// setOf returns the set with which a session is listed, whose byte form the session has. The caller holds mu.
func (b *hub) setOf(raw string) notifySet {
	for _, s := range b.sets {
		if s.raw == raw {
			return s.set
		}
	}
	return nil
}

// wants returns what any session wants of a mailbox.
func (b *hub) wants(m *listed) (e notifyEvents) {
	for _, s := range b.sets {
		e |= s.set.of(m)
	}
	return e
}

// follows reports whether a mailbox is to be followed. The annotations of the server are among those of INBOX.
func (b *hub) follows(m *listed) bool {
	if b.wants(m)&(eventMessages|eventFlags|eventMetadata) != 0 {
		return true
	}
	return isInbox(m) && b.wantsServer()
}

// forget stops following the mailboxes that f is true for.
func (h *hubs) forget(b *hub, f func(x *hubBox) bool) {
	for n, x := range b.boxes {
		if f(x) {
			h.srv.boxes.Unfollow(b.id, n.namespace, n.name)
			delete(b.boxes, n)
			b.order.Remove(x.at)
		}
	}
}

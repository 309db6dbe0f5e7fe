package mailbox

import (
	"hash/maphash"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// OnNews sets what is told of every change of a mailbox that is made through here, or found by a refresh: for whom, and what. Node is
// not set. It is called from any goroutine, with locks held: it must not block, nor call the registry.
func (r *Registry) OnNews(f func(u *backend.User, c backend.MailboxChange)) { r.news.Store(&f) }

// Named tells OnNews' function that the caller has changed a name. old is the name before, of a rename.
func (r *Registry) Named(ref backend.MailboxRef, kinds backend.ChangeKinds, old string) {
	r.tellNamed(ref, kinds, old, nil)
}

func (r *Registry) tell(ref backend.MailboxRef, kinds backend.ChangeKinds, s *backend.MailboxState) {
	r.tellNamed(ref, kinds, "", s)
}

func (r *Registry) tellNamed(ref backend.MailboxRef, kinds backend.ChangeKinds, old string, s *backend.MailboxState) {
	if f := r.news.Load(); f != nil {
		(*f)(ref.User, backend.MailboxChange{User: ref.User.Name, Namespace: ref.Namespace, Mailbox: ref.Name, OldMailbox: old,
			Kinds: kinds, State: s, Time: time.Now()})
	}
}

// tellStep tells of the step d to v. That \Recent messages were claimed is no news.
func (m *Mailbox) tellStep(v *View, d *delta) {
	if m.r.news.Load() == nil {
		return
	}
	var kinds backend.ChangeKinds
	if v.UIDNext > d.uidNext {
		kinds |= backend.ChangeAppended
	}
	if len(d.expunged) > 0 {
		kinds |= backend.ChangeExpunged
	}
	if len(d.flagged) > 0 || len(d.touched) > 0 || d.all || d.keywords != len(v.Keywords) {
		kinds |= backend.ChangeFlags
	}
	if kinds != 0 || d.highestModSeq != v.HighestModSeq {
		m.r.tell(*m.Ref(), kinds, stateOf(v))
	}
}

func stateOf(v *View) *backend.MailboxState {
	return &backend.MailboxState{MailboxID: v.MailboxID, UIDValidity: v.UIDValidity, UIDNext: v.UIDNext, HighestModSeq: v.HighestModSeq, Messages: v.Len()}
}

// Elsewhere tells that another server has changed a mailbox, of which nothing that is known may be true any more. below: and those below it.
// Who follows it under owners is told.
func (r *Registry) Elsewhere(ref backend.MailboxRef, below bool, owners []uint32) {
	r.mu.Lock()
	r.elsewhere.add(ref.Namespace, ref.Name)
	var told []uint32
	for _, owner := range owners {
		if x := r.follows.byOwner[owner][followName{ref.Namespace, ref.Name}]; x != nil && !x.stale {
			r.giveBackWatches(r.follows.release(x))
			x.stale = true
			told = append(told, owner)
		}
	}
	r.mu.Unlock()
	r.Renamed(ref, below)
	r.tellStale(told)
}

// ElsewhereLost tells that other servers may have changed any mailbox.
func (r *Registry) ElsewhereLost() {
	r.mu.Lock()
	r.elsewhere.count += recentElsewhere + 1 // whatever is under way does not know
	r.giveBackWatches(r.statuses.lost())
	back, owners := r.follows.lost()
	r.giveBackWatches(back)
	r.mu.Unlock()
	r.each(func(id uint32, _ *entry) { r.markDirty(id) })
	r.tellStale(owners)
}

// recentElsewhere is of how many changes elsewhere the names are remembered.
const recentElsewhere = 256

// elsewhere says which mailboxes other servers have changed while storage was asked: the answer may be older. It is guarded by Registry.mu.
type elsewhere struct {
	count  uint64
	recent [recentElsewhere]uint64 // hash of the name of change n in [n % 256], whoever the user is
}

var elsewhereSeed = maphash.MakeSeed()

func elsewhereHash(namespace, name string) uint64 {
	return maphash.String(elsewhereSeed, namespace) ^ maphash.String(elsewhereSeed, name)<<1
}

func (e *elsewhere) add(namespace, name string) {
	e.recent[e.count%recentElsewhere] = elsewhereHash(namespace, name)
	e.count++
}

// since reports whether a mailbox was changed, or may have been, after the first n changes.
func (e *elsewhere) since(n uint64, namespace, name string) bool {
	if e.count-n > recentElsewhere {
		return true
	}
	for h := elsewhereHash(namespace, name); n < e.count; n++ {
		if e.recent[n%recentElsewhere] == h {
			return true
		}
	}
	return false
}

package mailbox

import (
	"context"
	"slices"

	"github.com/roostmail/roost/core/backend"
)

// follows are the mailboxes, open or not, of whose changes somebody wants to be told who has not selected them (NOTIFY, RFC 5465). An
// owner, a user's number, has any number of them. The watches of such a mailbox live until their first event: then the mailbox is
// stale, its owner is told once, and nothing more happens until FollowedChanges has asked storage for its values. So a
// mailbox costs one call for all that has happened since the last one. It is guarded by Registry.mu.
type follows struct {
	byOwner map[uint32]map[followName]*follow
	watches map[int32][]*follow
	loose   map[*follow]struct{} // those that have no watches, stale or not
	count   int
	onStale func(owner uint32)
	onPoll  func()
}

type followName struct{ namespace, name string }

type follow struct {
	followName
	owner   uint32
	watches []backend.Watch // empty: nothing tells of changes, it is asked in each PollInterval
	stale   bool
}

// Followed are the values of a followed mailbox. Status.Err says why there are none.
type Followed struct {
	Namespace string
	Status    backend.MailboxStatus
}

// CanFollow reports whether storage tells of changes of mailboxes that are not open.
func (r *Registry) CanFollow() bool { return r.watcher != nil }

// OnStale sets what is called, from any goroutine and without locks held, when FollowedChanges has something to do for
// an owner. It must not block. It is to be set before the first Follow.
func (r *Registry) OnStale(f func(owner uint32)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.follows.onStale = f
}

// OnPoll sets what is called in each Config.PollInterval, by the registry's goroutine.
func (r *Registry) OnPoll(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.follows.onPoll = f
}

// Followed returns how many mailboxes are followed.
func (r *Registry) Followed() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.follows.count
}

// Follow adds mailboxes to those of an owner, stale: FollowedChanges begins to watch them. OnStale's function is not called.
func (r *Registry) Follow(owner uint32, namespace string, names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := &r.follows
	if f.byOwner == nil {
		f.byOwner, f.watches, f.loose = map[uint32]map[followName]*follow{}, map[int32][]*follow{}, map[*follow]struct{}{}
	}
	if f.byOwner[owner] == nil {
		f.byOwner[owner] = map[followName]*follow{}
	}
	for _, name := range names {
		n := followName{namespace, name}
		if f.byOwner[owner][n] == nil {
			x := &follow{followName: n, owner: owner, stale: true}
			f.byOwner[owner][n], f.loose[x] = x, struct{}{}
			f.count++
		}
	}
}

// Doubt makes a mailbox of an owner stale, and tells the owner, if no watch would do that: it had no files yet, or could not be read.
func (r *Registry) Doubt(owner uint32, namespace, name string) {
	r.mu.Lock()
	x := r.follows.byOwner[owner][followName{namespace, name}]
	loose := x != nil && len(x.watches) == 0
	if loose {
		x.stale = true
	}
	r.mu.Unlock()
	if loose {
		r.tellStale([]uint32{owner})
	}
}

// Unfollow takes a mailbox away from an owner.
func (r *Registry) Unfollow(owner uint32, namespace, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := &r.follows
	x := f.byOwner[owner][followName{namespace, name}]
	if x == nil {
		return
	}
	r.giveBackWatches(f.release(x))
	delete(f.byOwner[owner], x.followName)
	delete(f.loose, x)
	f.count--
	if len(f.byOwner[owner]) == 0 {
		delete(f.byOwner, owner)
	}
}

// FollowedChanges asks storage for the values of the owner's mailboxes that may have changed, and watches them anew. What changes
// meanwhile is announced again. With an error come the values of those of which storage had told before it; the others are stale as before, and announced in
// the next PollInterval.
func (r *Registry) FollowedChanges(ctx context.Context, u *backend.User, owner uint32) ([]Followed, error) {
	stale := map[string][]string{} // by namespace
	r.mu.Lock()
	for n, x := range r.follows.byOwner[owner] {
		if x.stale {
			stale[n.namespace] = append(stale[n.namespace], n.name)
		}
	}
	before := r.watching()
	r.mu.Unlock()
	var out []Followed
	for namespace, names := range stale {
		slices.Sort(names)
		got, err := r.askStatus(ctx, u, namespace, names, statusAlways|backend.StatusMailboxID|backend.StatusWatch)
		if err != nil {
			return out, err
		}
		for i := range got {
			out = append(out, Followed{namespace, got[i]})
			out[len(out)-1].Status.Name = names[i]
		}
		r.watchFollowed(owner, namespace, names, got, before)
	}
	return out, nil
}

// watchFollowed keeps the watches of an answer to a call that began at before.
func (r *Registry) watchFollowed(owner uint32, namespace string, names []string, got []backend.MailboxStatus, before watchState) {
	r.mu.Lock()
	again := false
	for i := range got {
		ws := got[i].Watches
		x := r.follows.byOwner[owner][followName{namespace, names[i]}]
		if r.epoch != before.epoch || r.closed {
			again = again || x != nil
			continue // watches of an earlier watcher say nothing, and are not the present one's to give back
		}
		if x == nil || !x.stale {
			r.giveBackWatches(ids(ws))
			continue
		}
		if r.elsewhere.since(before.elsewhere, namespace, names[i]) || slices.ContainsFunc(ws, func(w backend.Watch) bool { return r.eventSince(w.ID, before.events) }) {
			again = true
			r.giveBackWatches(ids(ws))
			continue
		}
		if x.stale, x.watches = false, ws; len(ws) > 0 {
			delete(r.follows.loose, x)
		}
		for _, w := range ws {
			r.follows.watches[w.ID] = append(r.follows.watches[w.ID], x)
		}
	}
	f := r.follows.onStale
	r.mu.Unlock()
	if again && f != nil {
		f(owner)
	}
}

func ids(ws []backend.Watch) (list []int32) {
	for _, w := range ws {
		list = append(list, w.ID)
	}
	return list
}

// release takes the watches of a mailbox out of the table and returns them.
func (f *follows) release(x *follow) []int32 {
	list := ids(x.watches)
	for _, wd := range list {
		if others := without(f.watches[wd], x); len(others) > 0 {
			f.watches[wd] = others
		} else {
			delete(f.watches, wd)
		}
	}
	x.watches, f.loose[x] = nil, struct{}{}
	return list
}

// event makes stale what an event of a watch makes doubtful. It returns the watches to give back, and the owners to be told.
func (f *follows) event(wd int32, name string, gone bool) (back []int32, owners []uint32) {
	for _, x := range append([]*follow(nil), f.watches[wd]...) { // release changes the list
		for _, w := range x.watches {
			if w.ID == wd && (gone || means(name, w.Name)) {
				back = append(back, f.release(x)...)
				x.stale = true
				if !slices.Contains(owners, x.owner) {
					owners = append(owners, x.owner)
				}
				break
			}
		}
	}
	return back, owners
}

// lost makes everything stale and returns all watches, and all owners.
func (f *follows) lost() (back []int32, owners []uint32) {
	for owner, set := range f.byOwner {
		for _, x := range set {
			back = append(back, ids(x.watches)...)
			x.watches, x.stale, f.loose[x] = nil, true, struct{}{}
		}
		owners = append(owners, owner)
	}
	clear(f.watches)
	return back, owners
}

// tellStale calls OnStale's function for owners. The caller holds no lock.
func (r *Registry) tellStale(owners []uint32) {
	if len(owners) == 0 {
		return
	}
	r.mu.RLock()
	f := r.follows.onStale
	r.mu.RUnlock()
	if f == nil {
		return
	}
	for _, owner := range owners {
		f(owner)
	}
}

// pollFollowed makes stale what nothing tells about, and announces again what is stale.
func (r *Registry) pollFollowed() {
	told := map[uint32]bool{}
	var owners []uint32
	r.mu.Lock()
	for x := range r.follows.loose {
		if x.stale = true; !told[x.owner] {
			told[x.owner] = true
			owners = append(owners, x.owner)
		}
	}
	f := r.follows.onPoll
	r.mu.Unlock()
	r.tellStale(owners)
	if f != nil {
		f()
	}
}

// giveBackWatches is unwatch, if there is something to give back. The caller holds mu.
func (r *Registry) giveBackWatches(wds []int32) {
	if len(wds) > 0 {
		r.unwatch(wds)
	}
}

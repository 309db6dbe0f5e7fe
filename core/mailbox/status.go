package mailbox

import (
	"container/list"
	"context"
	"fmt"
	"maps"

	"github.com/roostmail/roost/core/backend"
)

// knownStatuses holds the STATUS values of mailboxes that nothing has happened to since storage
// was asked for them: a client that looks at all its mailboxes every few minutes costs a call only for
// those where something did. It is guarded by Registry.mu.
//
// An entry is exact. It exists only together with the watches that storage added before it read the
// values, and the first event of any of them ends it.
type knownStatuses struct {
	max     int
	byKey   map[key]*list.Element // of *knownStatus
	recent  list.List             // most recently used first
	watches map[int32][]*list.Element
	back    []int32 // watches to give back
}

type knownStatus struct {
	key   key
	user  *backend.User       // for whom storage was asked: another login may have its mail elsewhere
	items backend.StatusItems // that are valid in
	value backend.MailboxStatus
}

// statusAlways are the items that are asked for with any others, since they cost nothing more.
const statusAlways = backend.StatusMessages | backend.StatusRecent | backend.StatusUnseen | backend.StatusUIDNext |
	backend.StatusUIDValidity | backend.StatusHighestModSeq

// giveBackAt is how many watches that are no longer needed are given back in one call.
const giveBackAt = 64

// KnownStatus returns STATUS values if they are known to be exact at this
// moment, without asking storage. It does not block. The result is not to be changed.
func (r *Registry) KnownStatus(ref backend.MailboxRef, items backend.StatusItems) (*backend.MailboxStatus, bool) {
	if r.cfg.Statuses <= 0 || r.watcher == nil || !r.poll() {
		return nil, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.statuses.find(ref, items)
	if s == nil {
		return nil, false
	}
	return &s.value, true
}

// Status returns STATUS values as storage's Status does, asking storage only for those that
// are not known.
func (r *Registry) Status(ctx context.Context, u *backend.User, namespace string, names []string, items backend.StatusItems) ([]backend.MailboxStatus, error) {
	if r.cfg.Statuses <= 0 || r.watcher == nil {
		return r.askStatus(ctx, u, namespace, names, items)
	}
	out := make([]backend.MailboxStatus, len(names))
	var missing []string
	var at []int // in out
	polled := r.poll()
	r.mu.Lock()
	for i, name := range names {
		if s := r.statuses.find(backend.MailboxRef{User: u, Namespace: namespace, Name: name}, items); polled && s != nil {
			out[i] = s.value
			continue
		}
		missing, at = append(missing, name), append(at, i)
	}
	before := r.watching()
	r.mu.Unlock()
	if len(missing) == 0 {
		return out, nil
	}
	items |= statusAlways
	got, err := r.askStatus(ctx, u, namespace, missing, items|backend.StatusWatch)
	if err != nil {
		return nil, err
	}
	for i := range got {
		out[at[i]] = got[i]
	}
	r.learn(u, namespace, missing, got, items, before)
	return out, nil
}

// holdsName reports whether the name of an open mailbox is known to be still its own. The watch of a
// mailbox does not tell that; those of a remembered STATUS do.
func (r *Registry) holdsName(ctx context.Context, m *Mailbox) bool {
	v, ref := m.Current(), m.Ref()
	if v == nil || !m.e.has(bitWatched) {
		return false // it is asked for its changes in any case
	}
	got, err := r.Status(ctx, ref.User, ref.Namespace, []string{ref.Name}, backend.StatusMailboxID)
	return err == nil && got[0].Err == nil && got[0].MailboxID == v.MailboxID
}

// askStatus is storage's Status with as many elements as names.
func (r *Registry) askStatus(ctx context.Context, u *backend.User, namespace string, names []string, items backend.StatusItems) ([]backend.MailboxStatus, error) {
	got, err := r.storage.Status(ctx, u, namespace, names, items)
	if err == nil && len(got) != len(names) {
		err = r.blame(badAnswer(fmt.Sprintf("STATUS of %d mailboxes for %d names", len(got), len(names))))
	}
	return got, err
}

// learn remembers what storage has answered for names to a call that began at before.
func (r *Registry) learn(u *backend.User, namespace string, names []string, got []backend.MailboxStatus, items backend.StatusItems, before watchState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.epoch != before.epoch || r.closed {
		return // watches of an earlier watcher say nothing
	}
	for i := range got {
		s := &got[i]
		if len(s.Watches) == 0 {
			continue
		}
		unchanged := s.Err == nil && !r.elsewhere.since(before.elsewhere, namespace, names[i])
		for _, w := range s.Watches {
			unchanged = unchanged && !r.eventSince(w.ID, before.events)
		}
		if !unchanged {
			r.statuses.giveBack(s.Watches)
			continue
		}
		r.statuses.add(&knownStatus{key: key{u.Name, namespace, names[i]}, user: u, items: items, value: *s})
	}
	if len(r.statuses.back) >= giveBackAt {
		r.unwatch(r.statuses.back)
		r.statuses.back = nil
	}
}

func (k *knownStatuses) init(max int) {
	*k = knownStatuses{max: max, byKey: map[key]*list.Element{}, watches: map[int32][]*list.Element{}}
}

// find returns the entry of a mailbox if it has all of the items.
func (k *knownStatuses) find(ref backend.MailboxRef, items backend.StatusItems) *knownStatus {
	e := k.byKey[key{ref.User.Name, ref.Namespace, ref.Name}]
	if e == nil {
		return nil
	}
	s := e.Value.(*knownStatus)
	if items&^s.items != 0 || s.user != ref.User && !maps.Equal(s.user.Fields, ref.User.Fields) {
		return nil
	}
	k.recent.MoveToFront(e)
	return s
}

func (k *knownStatuses) add(s *knownStatus) {
	if old := k.byKey[s.key]; old != nil {
		k.drop(old)
	}
	e := k.recent.PushFront(s)
	k.byKey[s.key] = e
	for _, w := range s.value.Watches {
		k.watches[w.ID] = append(k.watches[w.ID], e)
	}
	if k.recent.Len() > k.max {
		k.drop(k.recent.Back())
	}
}

// drop forgets an entry. Its watches are given back.
func (k *knownStatuses) drop(e *list.Element) {
	s := k.recent.Remove(e).(*knownStatus)
	delete(k.byKey, s.key)
	for _, w := range s.value.Watches {
		if others := without(k.watches[w.ID], e); len(others) > 0 {
			k.watches[w.ID] = others
		} else {
			delete(k.watches, w.ID)
		}
	}
	k.giveBack(s.value.Watches)
}

func (k *knownStatuses) giveBack(ws []backend.Watch) {
	for _, w := range ws {
		k.back = append(k.back, w.ID)
	}
}

// event drops what an event of a watch makes doubtful.
func (k *knownStatuses) event(wd int32, name string, gone bool) {
	for _, e := range append([]*list.Element(nil), k.watches[wd]...) { // drop changes the list
		for _, w := range e.Value.(*knownStatus).value.Watches {
			if w.ID == wd && (gone || means(name, w.Name)) {
				k.drop(e)
				break
			}
		}
	}
}

// lost forgets all entries and returns their watches: after an overflow they still exist.
func (k *knownStatuses) lost() []int32 {
	for e := k.recent.Front(); e != nil; e = e.Next() {
		k.giveBack(e.Value.(*knownStatus).value.Watches)
	}
	back := k.back
	k.init(k.max)
	return back
}

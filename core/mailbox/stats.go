package mailbox

import "time"

// Stats are sums over all mailboxes.
type Stats struct {
	Mailboxes    int // that sessions refer to, or did a moment ago
	Open         int // of these: with views
	Statuses     int // remembered
	Watched      int
	Messages     uint64 // of the open ones
	JournalBytes uint64
	ViewBytes    int64  // of views and journals
	EntryBytes   int64  // mapped for entries and users
	Parked       uint64 // fell asleep, in total
	Woken        uint64
	Evicted      uint64 // fell asleep because of Config.ViewCache
}

// Stats walks over the open mailboxes.
func (r *Registry) Stats() Stats {
	r.mu.RLock()
	s := Stats{
		Mailboxes: r.entries.Used(), Open: len(r.open), Statuses: r.statuses.recent.Len(), Watched: int(r.watchedCount.Load()),
		ViewBytes: r.bytes, Parked: r.parked, Woken: r.wakes, Evicted: r.evicted,
		EntryBytes: r.entries.Bytes() + r.blobs.Bytes() + r.names.Bytes() + r.byKey.Bytes() + r.byUser.Bytes() + r.byWatch.Bytes() + r.users.Bytes(),
	}
	open := make([]*Mailbox, 0, len(r.open))
	for _, m := range r.open {
		open = append(open, m)
	}
	r.mu.RUnlock()
	for _, m := range open {
		if v := m.Current(); v != nil {
			s.Messages += uint64(v.Len())
		}
		m.mu.Lock()
		s.JournalBytes += uint64(m.journal.bytes)
		m.mu.Unlock()
	}
	return s
}

// Candidate is an open mailbox that nobody works with.
type Candidate struct {
	ID       uint32
	Idle     int64  // nanoseconds since its last use
	Bytes    int64  // what Park gives back, about
	Sessions uint32 // that refer to it; 0 = it is kept warm for who comes back
	Wakes    uint16 // how often it was woken so far, at most 65535
}

// Candidates returns up to that many open mailboxes that can be parked, the least recently used first.
func (r *Registry) Candidates(most int) []Candidate {
	r.mu.RLock()
	defer r.mu.RUnlock()
	cs := make([]Candidate, 0, max(0, min(most, r.warm.Len())))
	now := time.Now()
	for el := r.warm.Back(); el != nil && len(cs) < most; el = el.Prev() {
		m := el.Value.(*Mailbox)
		cs = append(cs, Candidate{ID: m.id, Idle: int64(now.Sub(m.used)), Bytes: m.bytes, Sessions: m.e.refs, Wakes: m.e.wakes})
	}
	return cs
}

// Park puts a mailbox to sleep, or forgets it if no session refers to it. It returns false if somebody works with it, or if it sleeps.
func (r *Registry) Park(id uint32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.open[id]
	if m == nil || m.holds > 0 {
		return false
	}
	return r.sleep(m)
}

// Drop forgets a mailbox that no session refers to. It returns false if one does.
func (r *Registry) Drop(id uint32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.open[id]
	if m == nil || m.holds > 0 || m.e.refs > 0 {
		return false
	}
	r.remove(id)
	return true
}

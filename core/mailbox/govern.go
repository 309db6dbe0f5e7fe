package mailbox

import "time"

// Candidate is an open mailbox that nobody works with.
type Candidate struct {
	ID       uint32
	Key      uint64        // stands for the mailbox as long as the process runs; two may have the same one
	User     uint64        // likewise, for its user
	Used     time.Time     // the end of its last use
	Idle     time.Duration // since then
	Gap      time.Duration // between the uses before, in whole seconds; 0 = not known
	Bytes    int64         // what Park gives back, about
	Sessions uint32        // that refer to it; 0 = it is kept warm for who comes back
	Wakes    uint16        // how often it was woken so far, at most 65535
}

// Govern says who puts mailboxes to sleep: with true the caller, by Park and Drop, and no one else but Config.ViewCache;
// with false Config.Warm does, as at first.
func (r *Registry) Govern(governed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.governed = governed
	r.arm()
}

// scanStep is how many mailboxes Candidates looks at before it lets others go on.
const scanStep = 512

// Candidates returns up to that many open mailboxes that can be parked, the least recently used first: those that nobody
// has used for so long, without those that Keep is about unless kept is set.
func (r *Registry) Candidates(most int, idle time.Duration, kept bool) []Candidate {
	var cs []Candidate
	now := time.Now()
	r.mu.RLock()
	defer r.mu.RUnlock()
	walk := r.resting.walk()
	for n := 1; len(cs) < most; n++ {
		m, ok := walk.next()
		if !ok { // if it was used while the lock was free, the rest of the scan is made again soon
			break
		}
		c := Candidate{ID: m.id, Used: m.used, Idle: now.Sub(m.used), Gap: time.Duration(m.e.gap) * time.Second,
			Bytes: m.bytes, Sessions: m.e.refs, Wakes: m.e.wakes()}
		if c.Idle < idle {
			break
		}
		if kept || !m.kept.After(now) {
			user := uint64(r.users.HashOf(m.e.user))
			c.User, c.Key = user, user<<32|uint64(r.names.HashOf(m.e.name))
			cs = append(cs, c)
		}
		if n%scanStep == 0 {
			r.mu.RUnlock()
			r.mu.RLock()
		}
	}
	return cs
}

// rested returns the Mailbox of a Candidate, nil if it was used since; a zero time means any. The caller holds r.mu.
func (r *Registry) rested(id uint32, used time.Time) *Mailbox {
	m := r.open[id]
	if m == nil || m.holds > 0 || !used.IsZero() && !m.used.Equal(used) {
		return nil
	}
	return m
}

// Keep makes that Candidates does not offer a mailbox again before the given time, unless it is used. It returns false if it was used since.
func (r *Registry) Keep(id uint32, used, until time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.rested(id, used)
	if m == nil {
		return false
	}
	m.kept = until
	return true
}

// Park puts a mailbox to sleep, or forgets it if no session refers to it. It returns false if somebody works with it, if it sleeps, or
// if it was used since the given time; a zero time means any.
func (r *Registry) Park(id uint32, used time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.rested(id, used)
	return m != nil && r.sleep(m)
}

// Drop forgets a mailbox that no session refers to. It returns false if one does, and otherwise as Park.
func (r *Registry) Drop(id uint32, used time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.rested(id, used)
	if m == nil || m.e.refs > 0 {
		return false
	}
	r.remove(id)
	return true
}

// Usage is what the registry holds, without a walk over it.
type Usage struct {
	Open       int    // mailboxes with views
	Bytes      int64  // of these views
	EntryBytes int64  // mapped for entries and users
	Woken      uint64 // mailboxes, in total
}

// Usage returns the values of this moment.
func (r *Registry) Usage() Usage {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return Usage{Open: len(r.open), Bytes: r.bytes, EntryBytes: r.tables.bytes(), Woken: r.wakes}
}

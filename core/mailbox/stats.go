package mailbox

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
		EntryBytes: r.tables.bytes(),
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

package mailbox

import "github.com/emersion/go-imap/v2"

// smallExtra is up to which size an extra is written each time a mailbox is let go. A larger one is written
// only when the mailbox falls asleep: what is lost with the process otherwise is the history of sessions that are behind.
const smallExtra = 4 << 10

// saved is the state that a mailbox fell asleep with, as far as it is not taken over by Mailbox at once.
type saved struct {
	version uint64
	limits
	mailboxID   [16]byte
	uidValidity uint32
	count       uint32
}

// save writes the state of m to its entry, so that nothing but the entry is needed to go on. full: also if that is
// much to write. It returns false if it was not written. The caller holds r.mu; nobody works with m.
func (r *Registry) save(m *Mailbox, full bool) bool {
	e := m.e
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.changed || e.lost() != nil {
		return true
	}
	cur := m.cur.Load()
	if cur == nil && m.saved == nil {
		return true // nothing was loaded
	}
	x := extra{claims: m.claims}
	if len(m.journal.deltas) > 0 {
		x.keywords, x.steps = m.table.keywords, m.savedSteps()
	}
	version := m.journal.current()
	e.version.Store(version<<8 | unsaved) // until all is written
	s := e.getState()
	if cur != nil {
		s = state{cur.UIDValidity, uint32(cur.UIDNext), uint32(cur.FirstRecent), cur.count, cur.HighestModSeq, cur.MailboxID, uint16(min(len(cur.Keywords), 1<<16-1))}
	}
	if !e.setState(&s, m.position) {
		x.position = m.position
	}
	e.pins = m.journal.pins[len(m.journal.deltas)]
	if !r.setExtra(e, &x, full) {
		return false
	}
	e.version.Store(version << 8)
	r.seal(e)
	m.changed = false
	return true
}

// setExtra replaces the extra of an entry. The caller holds r.mu.
func (r *Registry) setExtra(e *entry, x *extra, full bool) bool {
	var id uint32
	if !x.empty() {
		var buf [512]byte
		b := x.append(buf[:0])
		if !full && len(b) > smallExtra {
			return false
		}
		var err error
		if id, err = r.blobs.Put(b); err != nil {
			r.log.Error("mailbox can not sleep", "bytes", len(b), "error", err)
			return false
		}
	}
	r.blobs.Free(e.extra)
	e.extra = id
	return true
}

// getExtra returns the extra of an entry. The caller holds r.mu.
func (r *Registry) getExtra(e *entry) (extra, error) {
	if e.extra == 0 {
		return extra{}, nil
	}
	return decodeExtra(r.blobs.Append(nil, e.extra))
}

// savedSteps returns the journal in the form of an extra. The caller holds m.mu.
func (m *Mailbox) savedSteps() []savedStep {
	steps := make([]savedStep, 0, len(m.journal.deltas))
	for i, d := range m.journal.deltas {
		s := savedStep{pins: m.journal.pins[i], limits: d.limits, flagged: d.flagged, touched: d.touched, all: d.all}
		for _, rec := range d.expunged {
			f := m.table.latest(rec.flags)
			s.expunged = append(s.expunged, savedMessage{rec.uid, f.System, f.Keywords, rec.modseq})
		}
		steps = append(steps, s)
	}
	return steps
}

// restore gives m, which is new, what its entry says, but for the view. The caller holds r.mu.
func (r *Registry) restore(m *Mailbox) {
	e := m.e
	version, ok := e.savedVersion()
	if m.lost = e.lost(); !ok || m.lost != nil {
		m.journal = newJournal(e.current()+1, r.cfg.JournalBytes) // nobody can go on from what was before
		return
	}
	x, err := r.getExtra(e)
	if err != nil {
		r.log.Error("mailbox record is damaged, its sessions end", "error", err)
		m.journal = newJournal(version+1, r.cfg.JournalBytes)
		return
	}
	m.claims = x.claims
	s := e.getState()
	if m.position, ok = e.getPosition(); !ok {
		m.position = x.position
	}
	m.table.keywords = x.keywords
	m.journal = newJournal(version-uint64(len(x.steps)), r.cfg.JournalBytes)
	m.journal.pins = m.journal.pins[:0]
	for _, step := range x.steps {
		d := &delta{limits: step.limits, flagged: step.flagged, touched: step.touched, all: step.all}
		for _, msg := range step.expunged {
			d.expunged = append(d.expunged, record{msg.uid, m.table.intern(msg.system, msg.keywords), msg.modseq})
		}
		m.journal.deltas = append(m.journal.deltas, d)
		m.journal.pins = append(m.journal.pins, step.pins)
		m.journal.bytes += d.size()
	}
	m.journal.pins = append(m.journal.pins, e.pins)
	m.table.publish()
	m.saved = &saved{
		version:     version,
		limits:      limits{imap.UID(s.uidNext), imap.UID(s.firstRecent), s.highestModSeq, int(s.keywords)},
		mailboxID:   s.mailboxID,
		uidValidity: s.uidValidity,
		count:       s.count,
	}
}

// leaveSaved is Leave for a mailbox that sleeps: it counts a session out. The caller holds r.mu.
func (r *Registry) leaveSaved(id uint32, e *entry, version, owner uint64) {
	if e.extra == 0 {
		if saved, ok := e.savedVersion(); ok && saved == version && e.pins > 0 {
			e.pins--
		}
		return
	}
	// It has a journal or claims, which is rare.
	m := r.mailbox(id)
	m.mu.Lock()
	m.journal.unpin(version)
	m.unclaim(owner)
	m.changed = true
	m.mu.Unlock()
	r.save(m, true)
}

package mailbox

import (
	"context"
	"maps"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// mailbox returns a new Mailbox for an entry, with what is saved of it. The caller holds r.mu.
func (r *Registry) mailbox(id uint32) *Mailbox {
	e := r.entries.At(id)
	m := &Mailbox{r: r, id: id, e: e, turn: make(chan struct{}, 1), table: new(flagTable)}
	namespace, name := r.nameOf(e)
	m.ref.Store(&backend.MailboxRef{User: r.users.Get(e.user), Namespace: namespace, Name: name})
	r.restore(m)
	return m
}

// hold returns the Mailbox of an entry, which does not fall asleep before letGo. The caller holds r.mu.
func (r *Registry) hold(id uint32) *Mailbox {
	m := r.open[id]
	if m == nil {
		m = r.mailbox(id)
		r.open[id] = m
	}
	if m.holds++; m.holds == 1 {
		r.resting.remove(m)
		m.e.begin(m.used, time.Now())
	}
	return m
}

// Wake returns the mailbox that a session refers to, with its views, which are loaded if it was asleep: one call of
// storage, and two more if somebody has changed it meanwhile. It stays awake until Release.
//
// Errors are those of Refresh. After ErrHistoryGone, ErrReplaced or ErrDeleted, which At and Catchup return too, the session must end.
func (r *Registry) Wake(ctx context.Context, id uint32) (*Mailbox, error) {
	r.mu.Lock()
	if r.at(id) == nil { // no session refers to such a mailbox
		r.mu.Unlock()
		return nil, ErrHistoryGone
	}
	m := r.hold(id)
	r.mu.Unlock()
	if m.cur.Load() != nil {
		return m, nil
	}
	if err := m.Refresh(ctx); err != nil {
		m.Release()
		return nil, err
	}
	return m, nil
}

// Release ends the use of a mailbox that Open or Wake has returned.
func (m *Mailbox) Release() {
	r := m.r
	r.mu.Lock()
	defer r.mu.Unlock()
	r.letGo(m)
}

// letGo ends a hold. The caller holds r.mu.
func (r *Registry) letGo(m *Mailbox) {
	if m.holds--; m.holds > 0 {
		return
	}
	loaded := m.cur.Load() != nil && m.e.lost() == nil
	switch {
	case m.e.refs == 0 && (!loaded || r.cfg.Warm <= 0 || r.closed):
		r.remove(m.id)
		return
	case !loaded || r.cfg.Warm <= 0:
		r.park(m)
		return
	}
	r.save(m, false)
	r.queue(m)
	r.makeRoom()
}

// queue makes m the last one to fall asleep. The caller holds r.mu.
func (r *Registry) queue(m *Mailbox) {
	m.used, m.kept = time.Now(), time.Time{}
	m.e.used = uint32(m.used.Unix())
	r.bytes -= m.bytes
	m.bytes = m.size()
	r.bytes += m.bytes
	r.resting.put(m, r.rest(m) < r.cfg.Warm)
	r.arm()
}

// brief is how long a mailbox stays awake of which it is not known that it is used again soon.
const brief = time.Second

// rest returns for how long m stays awake after its last use: for Config.Warm if nobody refers to it, since it is gone then, or if
// it was used again so soon the last time. All others are most of those that clients select after a burst of logins, to be told of changes.
func (r *Registry) rest(m *Mailbox) time.Duration {
	if soon := m.e.gap != 0 && time.Duration(m.e.gap)*time.Second <= r.cfg.Warm; soon || m.e.refs == 0 {
		return r.cfg.Warm
	}
	return min(brief, r.cfg.Warm)
}

// arm starts the registry's only timer for the mailbox that falls asleep next, if it does not run, or would come later. The caller holds r.mu.
func (r *Registry) arm() {
	m, at := r.resting.next(r.rest)
	if m == nil || r.closed || r.governed || r.armed && !at.Before(r.sweepAt) {
		return
	}
	r.armed, r.sweepAt = true, at
	if r.timer == nil {
		r.timer = time.AfterFunc(time.Until(at), r.sweep)
	} else {
		r.timer.Reset(time.Until(at))
	}
}

// sweepStep is how many mailboxes are put to sleep at once.
const sweepStep = 64

// sweep puts those to sleep that have rested.
func (r *Registry) sweep() {
	for more := true; more; {
		r.mu.Lock()
		more = false
		now := time.Now()
		for n := 0; ; n++ {
			m, at := r.resting.next(r.rest)
			if m == nil || at.After(now) || r.closed || r.governed {
				break
			}
			if n == sweepStep {
				more = true
				break
			}
			r.sleep(m)
		}
		if !more {
			r.armed = false
			r.arm()
		}
		r.mu.Unlock()
	}
}

// makeRoom puts mailboxes to sleep, the least recently used first, until the views fit Config.ViewCache. The caller holds r.mu.
func (r *Registry) makeRoom() {
	for r.cfg.ViewCache > 0 && r.bytes > r.cfg.ViewCache {
		m := r.resting.oldest()
		if m == nil || !r.sleep(m) {
			return
		}
		r.evicted++
	}
}

// sleep parks m, or forgets it if no session refers to it. Nobody holds it. The caller holds r.mu.
func (r *Registry) sleep(m *Mailbox) bool {
	if m.e.refs == 0 {
		r.remove(m.id)
		return true
	}
	return r.park(m)
}

// park makes that nothing is left of m, which nobody holds, but its entry. The caller holds r.mu.
func (r *Registry) park(m *Mailbox) bool {
	if !r.save(m, true) {
		r.queue(m) // it is tried again
		return false
	}
	if m.saved == nil {
		r.parked++
	}
	r.forget(m)
	return true
}

// forget drops the Mailbox of an entry. The caller holds r.mu.
func (r *Registry) forget(m *Mailbox) {
	r.resting.remove(m)
	r.bytes -= m.bytes
	delete(r.open, m.id)
}

// Trim drops what is kept to be fast, and made anew when it is needed.
func (r *Registry) Trim() {
	r.users.ForgetDecoded()
	r.mu.Lock()
	defer r.mu.Unlock()
	open := make(map[uint32]*Mailbox, len(r.open)) // a map does not shrink, nor does its clone
	maps.Copy(open, r.open)
	r.open = open
}

// woken counts that m has got its views again. The caller holds no lock.
func (r *Registry) woken(m *Mailbox) {
	r.mu.Lock()
	r.wakes++
	m.e.woken()
	r.mu.Unlock()
}

// mailboxBytes is what an open mailbox costs besides its messages.
const mailboxBytes = 1 << 10

// size returns about how many bytes of memory m takes.
func (m *Mailbox) size() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := int64(mailboxBytes + m.journal.bytes + 32*len(m.claims))
	views := append([]*View{m.cur.Load()}, m.old[:]...)
	for _, v := range views {
		if v != nil {
			n += int64(v.count)*messageBytes + int64(len(v.chunks))*chunkBytes
		}
	}
	for _, memo := range m.notes {
		n += int64(len(memo.text))
	}
	for _, f := range m.findings {
		n += f.bytes()
	}
	return n
}

// What the views are made of: the columns of a message, and a chunk with its slices.
const (
	messageBytes = 4 + 4 + 8
	chunkBytes   = 96
)

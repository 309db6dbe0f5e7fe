package mailbox

import (
	"iter"
	"slices"

	"github.com/roostmail/roost/core/slab"
	"github.com/roostmail/roost/core/users"
)

// Names of the tables.
const (
	tableMailboxes = "roost mailboxes"
	tableExtras    = "roost mailbox extras"
	tableNames     = "roost mailbox names"
)

// Tables calls f with the name and the memfd of each table, those of the users too. Without Config.Shared, and with the race detector, these are -1.
func (r *Registry) Tables(f func(name string, fd int)) {
	r.users.Tables(f)
	f(tableMailboxes, r.entries.FD())
	f(tableExtras, r.blobs.FD())
	f(tableNames, r.names.FD())
}

// attached is what another process has left, before its references are known.
type attached struct {
	users *users.Attached
	names int // memfd
}

// openTables attaches the tables in the configuration, or makes new ones.
func openTables(cfg Config) (*tables, *attached, error) {
	o := slab.Option(0)
	if cfg.Shared {
		o = slab.Shared
	}
	for _, name := range [...]string{tableMailboxes, tableExtras, tableNames} {
		if _, ok := cfg.Tables[name]; !ok {
			t, err := newTables(o)
			return t, nil, err
		}
	}
	u, err := users.Attach(cfg.Tables, o)
	if err != nil {
		return nil, nil, err
	}
	if u == nil {
		t, err := newTables(o)
		return t, nil, err
	}
	take := func(name string) int {
		fd := cfg.Tables[name]
		delete(cfg.Tables, name)
		return fd
	}
	t := &tables{option: o, users: u.Users()}
	if t.entries, err = slab.Attach[entry](take(tableMailboxes), maxMailboxes, o); err != nil {
		return nil, nil, err
	}
	if t.blobs, err = slab.AttachBlobs(take(tableExtras), maxMailboxes, o); err != nil {
		return nil, nil, err
	}
	return t, &attached{users: u, names: take(tableNames)}, t.newIndexes()
}

// Reference is what a session that goes on after another process refers to; 0 = nothing.
type Reference struct {
	User, Mailbox uint32
	Version       uint64 // of the mailbox, that the client knows
}

// Inherit takes over what another process has left, as far as sessions refer to it: it counts their references, drops everything else, and what is
// damaged. It is called once, before anything else is. Known tells then whether a session can go on.
func (r *Registry) Inherit(sessions iter.Seq[Reference]) error {
	a := r.attached
	if a == nil {
		return nil
	}
	r.attached = nil
	r.mu.Lock()
	defer r.mu.Unlock()
	slots := r.entries.Slots()
	refs, pins, logins := make([]uint32, slots+1), make([]uint32, slots+1), map[uint32]uint32{}
	for s := range sessions {
		if s.User != 0 {
			logins[s.User]++
		}
		if s.Mailbox == 0 || s.Mailbox > slots {
			continue
		}
		refs[s.Mailbox]++
		if version, ok := r.entries.At(s.Mailbox).savedVersion(); ok && version == s.Version {
			pins[s.Mailbox]++
		}
	}
	names, holds := map[uint32]uint32{}, map[uint32]uint32{}
	for id := uint32(1); id <= slots; id++ {
		e := r.entries.At(id)
		if e.bits.Load()&bitLive == 0 { // most of a chunk: it is left as it is
			continue
		}
		if refs[id] == 0 {
			e.wipe()
			continue
		}
		names[e.name]++
		holds[e.user]++
	}
	var err error
	if r.names, err = slab.AttachNames(a.names, maxMailboxes, r.blobs, r.option, func(id uint32) uint32 { return names[id] }); err != nil {
		return err
	}
	// What is damaged goes first, so that nothing is taken to be in use by it that is another one's.
	for id := uint32(1); id <= slots; id++ {
		if e := r.entries.At(id); e.bits.Load()&bitLive != 0 && !r.sound(e) {
			r.log.Error("mailbox record is damaged, its sessions end", "mailbox", id, "sessions", refs[id])
			r.names.Drop(e.name)
			holds[e.user]--
			e.wipe()
		}
	}
	damaged := r.blobs.Restore(func(yield func(uint32) bool) {
		for id := uint32(1); id <= slots; id++ {
			if e := r.entries.At(id); e.bits.Load()&bitLive != 0 && e.extra != 0 && !yield(e.extra) {
				return
			}
		}
		r.names.Each(yield)
	})
	r.names.Discard(damaged)
	if err := a.users.Restore(func(id uint32) (uint32, uint32) { return logins[id], holds[id] }); err != nil {
		return err
	}
	r.entries.Restore(func(id uint32, e *entry) bool {
		if e.bits.Load()&bitLive == 0 {
			return false
		}
		if slices.Contains(damaged, e.extra) || r.names.Append(nil, e.name) == nil || r.users.Get(e.user) == nil {
			if !slices.Contains(damaged, e.extra) {
				r.blobs.Free(e.extra)
			}
			r.names.Drop(e.name)
			r.users.Drop(e.user)
			e.wipe()
			return false
		}
		r.adopt(id, e, refs[id], pins[id])
		return true
	})
	return nil
}

// adopt makes an entry of another process one of this registry. Its watch was that process's: nothing is known to be unchanged. The caller holds r.mu.
func (r *Registry) adopt(id uint32, e *entry, refs, pins uint32) {
	e.next, e.userNext, e.watch, e.watchName, e.watchNext = 0, 0, 0, 0, 0
	e.refs, e.pins = refs, pins
	e.bits.Store(e.bits.Load()&(bitLive|bitDetached|bitReplaced|bitDeleted|wakesMask) | bitDirty)
	r.count(bitDirty, 1)
	if !e.has(bitDetached) {
		r.byKey.Add(id)
	}
	r.byUser.Add(id)
}

// Known reports whether a session that was at a version of a mailbox in another process can go on: the entry is there, and describes that version
// or has its history. The mailbox may be lost: then the session is told as ever.
func (r *Registry) Known(id uint32, version uint64) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	e := r.at(id)
	if e == nil || e.refs == 0 {
		return false
	}
	saved, ok := e.savedVersion()
	return ok && version <= saved
}

// Forget takes back what Inherit has counted for a session that does not go on after all.
func (r *Registry) Forget(s Reference, owner uint64) {
	if s.Mailbox != 0 {
		r.Leave(s.Mailbox, s.Version, owner)
	}
	r.users.Logout(s.User)
}

// Freeze ends what the registry does by itself, and writes everything to the tables, for another process. Nobody may use a mailbox any more. It
// returns how many mailboxes could not be written: their sessions can not go on.
func (r *Registry) Freeze() (unwritten int) {
	r.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.open {
		if m.cur.Load() == nil && m.saved != nil { // it is as it was saved
			continue
		}
		if !r.save(m, true) {
			unwritten++
		}
	}
	return unwritten
}

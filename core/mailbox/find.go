package mailbox

import (
	"bytes"

	"github.com/roostmail/roost/core/backend"
)

// appendName appends the interned form of a mailbox's name to b.
func appendName(b []byte, namespace, name string) []byte {
	return append(append(append(b, namespace...), 0), name...)
}

// nameOf returns the name of a mailbox.
func (r *Registry) nameOf(e *entry) (namespace, name string) {
	var buf [128]byte
	ns, n, _ := bytes.Cut(r.names.Append(buf[:0], e.name), []byte{0})
	return string(ns), string(n)
}

// find returns the mailbox of a user with a name, both of which the caller has a reference to; 0 = none. The user's fields do not matter. The caller holds r.mu.
func (r *Registry) find(user, name uint32) uint32 {
	for id := r.byKey.First(keyHash(r.users.HashOf(user), name)); id != 0; id = r.byKey.Next(id) {
		if e := r.entries.At(id); e.name == name && (e.user == user || r.users.SameName(e.user, user)) {
			return id
		}
	}
	return 0
}

// lookup is find for names that nobody may refer to. The caller holds r.mu.
func (r *Registry) lookup(ref backend.MailboxRef) uint32 {
	var buf [128]byte
	name := r.names.Find(appendName(buf[:0], ref.Namespace, ref.Name))
	if name == 0 {
		return 0
	}
	for id := r.byKey.First(keyHash(r.users.Hash(ref.User.Name), name)); id != 0; id = r.byKey.Next(id) {
		if e := r.entries.At(id); e.name == name && r.users.Is(e.user, ref.User.Name) {
			return id
		}
	}
	return 0
}

// add makes an entry, which takes over the references to user and name. The caller holds r.mu.
func (r *Registry) add(user, name uint32) (uint32, error) {
	id, e, err := r.entries.Take()
	if err == nil && id == 0 {
		err = errFull
	}
	if err != nil {
		return 0, err
	}
	e.wipe()
	e.user, e.name = user, name
	e.bits.Store(bitLive)
	r.byKey.Add(id)
	r.byUser.Add(id)
	return id, nil
}

// belongsTo makes user the one of the latest login. It takes over the reference. The caller holds r.mu.
func (r *Registry) belongsTo(id, user uint32) {
	e := r.entries.At(id)
	if e.user != user && r.sound(e) {
		defer r.seal(e)
	}
	e.user, user = user, e.user // their hashes, of the name, are the same
	r.users.Drop(user)
}

// remove frees an entry without references, which nobody holds. The caller holds r.mu.
func (r *Registry) remove(id uint32) {
	e := r.entries.At(id)
	if m := r.open[id]; m != nil {
		r.forget(m)
	}
	r.detach(id)
	r.dropWatch(id)
	if e.bits.Swap(0)&bitDirty != 0 {
		r.count(bitDirty, -1)
	}
	r.byUser.Remove(id)
	r.blobs.Free(e.extra)
	r.names.Drop(e.name)
	r.users.Drop(e.user)
	e.wipe()
	r.entries.Give(id)
}

// detach makes that an entry is not found by its name any more. The caller holds r.mu.
func (r *Registry) detach(id uint32) {
	if e := r.entries.At(id); !r.mark(e, bitDetached) {
		r.byKey.Remove(id)
	}
}

// mark sets a bit, and reports whether it was set. It does nothing to an entry that is not in use.
func (r *Registry) mark(e *entry, bit uint32) (was bool) {
	for {
		old := e.bits.Load()
		if old&bitLive == 0 || old&bit != 0 {
			return true
		}
		if e.bits.CompareAndSwap(old, old|bit) {
			r.count(bit, 1)
			return false
		}
	}
}

// unmark clears a bit. One that is not dirty has told nobody so.
func (r *Registry) unmark(e *entry, bit uint32) {
	if bit == bitDirty {
		if e.bits.And(^(bitDirty|bitTold))&bitDirty != 0 {
			r.count(bitDirty, -1)
		}
		return
	}
	if e.bits.And(^bit)&bit != 0 {
		r.count(bit, -1)
	}
}

func (r *Registry) count(bit uint32, n int64) {
	switch bit {
	case bitDirty:
		r.dirtyCount.Add(n)
	case bitWatched:
		r.watchedCount.Add(n)
	}
}

// announce marks an entry as dirty, and reports whether its sessions are to be told: they do not know it yet. It may be dirty without their
// knowledge (Mailbox.Doubt).
func (r *Registry) announce(e *entry) (tell bool) {
	for {
		old := e.bits.Load()
		if old&bitLive == 0 || old&(bitDirty|bitTold) == bitDirty|bitTold {
			return false
		}
		if e.bits.CompareAndSwap(old, old|bitDirty|bitTold) {
			if old&bitDirty == 0 {
				r.count(bitDirty, 1)
			}
			return true
		}
	}
}

// markDirty marks an entry, and tells its sessions. The caller holds no lock.
func (r *Registry) markDirty(id uint32) {
	if r.announce(r.entries.At(id)) {
		r.onChange(id)
	}
}

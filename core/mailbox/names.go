package mailbox

import (
	"strings"

	"github.com/roostmail/roost/core/backend"
)

// Renamed tells that a name, and with below the names below it, may be those of other mailboxes or of none
// by now. Sessions that have one of them selected find out with their next command.
func (r *Registry) Renamed(ref backend.MailboxRef, below bool) {
	k := keyOf(ref)
	var doubtful []uint32
	r.mu.Lock()
	r.statuses.dropNames(k, below)
	if id := r.lookup(ref); id != 0 {
		doubtful = append(doubtful, id)
	}
	if below {
		doubtful = r.below(doubtful, k)
	}
	r.mu.Unlock()
	for _, id := range doubtful {
		if e := r.at(id); e != nil && e.current() != 0 {
			r.markDirty(id)
		}
	}
}

// below appends the mailboxes below a name. The caller holds r.mu.
func (r *Registry) below(ids []uint32, top key) []uint32 {
	for id := r.byUser.First(r.users.Hash(top.user)); id != 0; id = r.byUser.Next(id) {
		e := r.entries.At(id)
		if namespace, name := r.nameOf(e); r.users.Is(e.user, top.user) && (key{top.user, namespace, name}).below(top) {
			ids = append(ids, id)
		}
	}
	return ids
}

func keyOf(ref backend.MailboxRef) key { return key{ref.User.Name, ref.Namespace, ref.Name} }

// below reports whether k is the name of a child, or a child's child, of top.
func (k key) below(top key) bool {
	return k.user == top.user && k.namespace == top.namespace && strings.HasPrefix(k.name, top.name) &&
		len(k.name) > len(top.name) && k.name[len(top.name)] == '/'
}

// dropNames forgets the values of a name, and with below of those below it. The caller holds Registry.mu.
func (k *knownStatuses) dropNames(top key, below bool) {
	if e := k.byKey[top]; e != nil {
		k.drop(e)
	}
	if !below {
		return
	}
	for name, e := range k.byKey {
		if name.below(top) {
			k.drop(e)
		}
	}
}

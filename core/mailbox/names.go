package mailbox

import (
	"strings"

	"github.com/roostmail/roost/core/backend"
)

// Renamed tells that a name, and with below the names below it, may be those of other mailboxes or of none
// by now. Sessions that have one of them selected find out with their next command.
func (r *Registry) Renamed(ref backend.MailboxRef, below bool) {
	k := keyOf(ref)
	r.mu.Lock()
	r.statuses.dropNames(k, below)
	top := r.byKey[k]
	r.mu.Unlock()
	if top != nil {
		r.doubt(top)
	}
	if !below {
		return
	}
	for _, m := range r.all() {
		if m.key.below(k) {
			r.doubt(m)
		}
	}
}

// doubt makes the sessions of a mailbox look at it.
func (r *Registry) doubt(m *Mailbox) {
	if m.cur.Load() != nil && !m.dirty.Swap(true) {
		r.onChange(m.id)
	}
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

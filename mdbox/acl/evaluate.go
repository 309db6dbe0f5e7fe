package acl

import "slices"

// Who is who wants to do something.
type Who struct {
	User   string
	Groups []string
	// Owner: the mailbox is in a private namespace of the user, who may do everything there if nothing else is said.
	Owner bool
}

func (w *Who) is(e *Entry) bool {
	switch e.Kind {
	case Owner:
		return w.Owner
	case User:
		return w.User == e.ID
	case Group, GroupOverride:
		return slices.Contains(w.Groups, e.ID)
	}
	return true
}

// Of returns the rights that somebody has to a mailbox with the entries of its own, and those of the global lists, which count more. Both are sorted.
//
// Kinds of identifiers are looked at in their order. What a kind gives takes the place of all that was given before, and what it
// takes away that of all that was taken away before; of several groups everything counts together. An owner begins with all rights, whatever
// is said of kinds before Owner. (dovecot acl-api.c, acl_object_rebuild_cache)
func Of(w Who, local, global []Entry) Rights {
	var e evaluation
	i := 0
	for ; i < len(local) && local[i].Kind < Owner; i++ {
		e.apply(&w, &local[i], false)
	}
	if w.Owner {
		e = evaluation{rights: All}
	}
	for ; i < len(local); i++ {
		e.apply(&w, &local[i], false)
	}
	for i := range global {
		e.apply(&w, &global[i], true)
	}
	return e.rights &^ e.negative
}

// evaluation is where Of has come to.
type evaluation struct {
	rights, negative Rights
	gave, took       stage // what gave rights last, and took some away
}

// stage is a kind of identifier in local or global lists.
type stage struct {
	some   bool
	kind   Kind
	global bool
}

func (e *evaluation) apply(w *Who, x *Entry, global bool) {
	if !w.is(x) {
		return
	}
	now := stage{true, x.Kind, global}
	if x.Positive {
		if e.gave != now {
			e.rights = 0
		}
		e.rights |= x.Rights
		e.gave = now
	}
	if x.Negative {
		if e.took != now {
			e.negative = 0
		}
		e.negative |= x.NegativeRights
		e.took = now
	}
}

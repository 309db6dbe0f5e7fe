package mdbox

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/acl"
)

var _ backend.ACL = (*Storage)(nil)

// hasACL reports whether access control lists are configured.
func (s *Storage) hasACL(ctx context.Context) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if s.settings.acl == nil {
		return backend.Errorf(backend.KindUnsupported, "Access control lists are not configured (acl)")
	}
	return nil
}

// MyRights implements backend.ACL.
func (s *Storage) MyRights(ctx context.Context, u *backend.User, namespace string, names []string) ([]backend.MailboxRights, error) {
	if err := s.hasACL(ctx); err != nil {
		return nil, err
	}
	l, err := s.lists(u, namespace)
	if err != nil {
		return nil, err
	}
	defer l.release()
	out := make([]backend.MailboxRights, len(names))
	for i, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, toBackend(err)
		}
		has, err := l.rights(name)
		out[i] = backend.MailboxRights{Err: toBackend(err), Rights: backend.Rights(has)}
	}
	return out, nil
}

// administer returns who asks, if he may change the list of a mailbox.
func (s *Storage) administer(ctx context.Context, m backend.MailboxRef) (*namespace, error) {
	if err := s.hasACL(ctx); err != nil {
		return nil, err
	}
	ns, p, err := s.locate(m.User, m.Namespace)
	if err != nil {
		return nil, err
	}
	err = s.allow(m, acl.Admin)
	var denied *backend.Error
	if errors.As(err, &denied) && denied.Kind == backend.KindNoPermission {
		err = backend.Errorf(backend.KindNoPermission, "You lack administrator privileges on this mailbox")
	}
	if err == nil { // rights there are also to what does not exist
		_, err = s.status(p, m.Name, 0)
	}
	if err != nil {
		return nil, toBackend(err)
	}
	return ns, nil
}

// GetACL implements backend.ACL. Entries of the global lists have "#" before their identifier, as with Dovecot.
func (s *Storage) GetACL(ctx context.Context, m backend.MailboxRef) ([]backend.ACLEntry, error) {
	if _, err := s.administer(ctx, m); err != nil {
		return nil, err
	}
	from, err := s.lists(m.User, m.Namespace)
	if err != nil {
		return nil, err
	}
	defer from.release()
	local, global, err := from.of(m.Name)
	if err != nil {
		return nil, err
	}
	l := aclText{who: from.who}
	l.named = l.isOwner(local)+l.isOwner(global) < 2
	l.add(local, "")
	l.add(global, "#")
	if l.who.Owner && !l.positive { // what nobody has said
		l.list = append(l.list, backend.ACLEntry{Identifier: l.owner(), Rights: backend.AllRights})
	}
	return l.list, nil
}

// aclText are lists in the words of IMAP.
type aclText struct {
	who      acl.Who
	named    bool // the owner is called by name; not if that would be there twice
	positive bool // something is given to the owner
	list     []backend.ACLEntry
}

// isOwner counts the entries that would have the owner's name.
func (l *aclText) isOwner(list []acl.Entry) (n int) {
	for i := range list {
		if ownerEntry(&l.who, &list[i]) {
			n++
		}
	}
	return n
}

// ownerEntry reports whether an entry is of who asks, and he is the owner.
func ownerEntry(w *acl.Who, e *acl.Entry) bool {
	return w.Owner && (e.Kind == acl.Owner || e.Kind == acl.User && e.ID == w.User)
}

func (l *aclText) owner() string {
	if l.named {
		return l.who.User
	}
	return "owner"
}

func (l *aclText) add(list []acl.Entry, prefix string) {
	for i := range list {
		e := &list[i]
		id := identifier(e)
		if e.Kind == acl.Owner && l.who.Owner {
			id = l.owner()
		}
		l.positive = l.positive || e.Positive && ownerEntry(&l.who, e)
		if e.Positive {
			l.list = append(l.list, backend.ACLEntry{Identifier: prefix + id, Rights: backend.Rights(e.Rights)})
		}
		if e.Negative {
			l.list = append(l.list, backend.ACLEntry{Identifier: prefix + id, Negative: true, Rights: backend.Rights(e.NegativeRights)})
		}
	}
}

// identifier returns what IMAP calls an identifier (dovecot imap-acl-plugin.c).
func identifier(e *acl.Entry) string {
	switch e.Kind {
	case acl.Group:
		return "$" + e.ID
	case acl.GroupOverride:
		return "!$" + e.ID
	case acl.User:
		return e.ID
	}
	return e.String()
}

// parseIdentifier is the inverse of identifier.
func (s *Storage) parseIdentifier(id string) (e acl.Entry, err error) {
	switch {
	case id == "":
		return e, backend.Errorf(backend.KindInvalidArgument, "Identifier is empty")
	case id[0] == '#':
		return e, backend.Errorf(backend.KindInvalidArgument, "Global ACLs can't be modified: %s", id)
	case strings.ContainsAny(id, "\r\n\x00"):
		return e, backend.Errorf(backend.KindInvalidArgument, "Identifier has control characters")
	case id == "anyone" || id == "authenticated":
		if !s.settings.acl.anyone {
			return e, backend.Errorf(backend.KindInvalidArgument, "'%s' identifier is disallowed", id)
		}
		if id == "authenticated" {
			e.Kind = acl.Authenticated
		}
	case id == "owner":
		e.Kind = acl.Owner
	case id[0] == '$':
		e.Kind, e.ID = acl.Group, id[1:]
	case strings.HasPrefix(id, "!$"):
		e.Kind, e.ID = acl.GroupOverride, id[2:]
	default:
		e.Kind, e.ID = acl.User, id
	}
	return e, nil
}

// SetACL implements backend.ACL. What an owner has of rights to change the list he keeps, as with Dovecot.
func (s *Storage) SetACL(ctx context.Context, m backend.MailboxRef, c backend.ACLChange) error {
	rights := acl.Rights(c.Rights) & acl.All
	return s.changeACL(ctx, m, c.Identifier, func(list []acl.Entry, e acl.Entry, who acl.Who) []acl.Entry {
		own := ownerEntry(&who, &e) && !c.Negative
		switch {
		case own && c.Mode == backend.StoreRemove:
			if rights &^= acl.Admin; rights == 0 {
				return list
			}
		case own:
			rights |= acl.Admin
		}
		i := slices.IndexFunc(list, func(x acl.Entry) bool { return x.Same(&e) })
		if i < 0 {
			said := slices.ContainsFunc(list, func(x acl.Entry) bool { return x.Positive && ownerEntry(&who, &x) })
			if own && !said && c.Mode != backend.StoreReplace { // what nobody has said
				e.Positive, e.Rights = true, acl.All
			}
			list = acl.Merge(list, e)
			i = slices.IndexFunc(list, func(x acl.Entry) bool { return x.Same(&e) })
		}
		x := &list[i]
		if c.Negative {
			x.Negative, x.NegativeRights = changedRights(x.NegativeRights, rights, c.Mode)
		} else {
			x.Positive, x.Rights = changedRights(x.Rights, rights, c.Mode)
		}
		return list
	})
}

// changedRights returns the rights after a change, and whether there is to be a line for them: one without rights
// takes away what would be there without it.
func changedRights(old, rights acl.Rights, mode backend.StoreMode) (line bool, changed acl.Rights) {
	switch mode {
	case backend.StoreAdd:
		return true, old | rights
	case backend.StoreRemove:
		return true, old &^ rights
	}
	return true, rights
}

// DeleteACL implements backend.ACL.
func (s *Storage) DeleteACL(ctx context.Context, m backend.MailboxRef, id string, negative bool) error {
	return s.changeACL(ctx, m, id, func(list []acl.Entry, e acl.Entry, _ acl.Who) []acl.Entry {
		i := slices.IndexFunc(list, func(x acl.Entry) bool { return x.Same(&e) })
		if i < 0 {
			return list
		}
		if negative {
			list[i].Negative = false
		} else {
			list[i].Positive = false
		}
		if !list[i].Negative && !list[i].Positive {
			list = slices.Delete(list, i, i+1)
		}
		return list
	})
}

// changeACL changes what the list of a mailbox says of an identifier.
func (s *Storage) changeACL(ctx context.Context, m backend.MailboxRef, id string, change func(list []acl.Entry, e acl.Entry, who acl.Who) []acl.Entry) error {
	if err := s.writable(ctx); err != nil {
		return err
	}
	ns, err := s.administer(ctx, m)
	if err != nil {
		return err
	}
	e, err := s.parseIdentifier(id)
	if err != nil {
		return err
	}
	who := ns.who(m.User)
	return s.changeTree(ctx, m.User, m.Namespace, func(store *mdbox.Store, _ place) error {
		return store.UpdateACL(ctx, m.Name, func(list []acl.Entry) []acl.Entry { return change(list, e, who) })
	})
}

// inherit gives a new mailbox the list of its parent, if that has one (RFC 4314 §4: CREATE).
func (s *Storage) inherit(ctx context.Context, store *mdbox.Store, name string) error {
	parent := parentOf(name)
	if s.settings.acl == nil || parent == "" {
		return nil
	}
	list, err := store.ACL(parent, false)
	if err != nil || len(list) == 0 {
		return err
	}
	return store.UpdateACL(ctx, name, func([]acl.Entry) []acl.Entry { return list })
}

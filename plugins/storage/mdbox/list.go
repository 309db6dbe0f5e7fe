package mdbox

import (
	"context"
	"slices"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/acl"
)

// ListMailboxes implements backend.Storage. What the user may not look up is left out; a mailbox whose list can not be read as well, and is logged.
func (s *Storage) ListMailboxes(ctx context.Context, u *backend.User, namespace string) ([]backend.MailboxInfo, error) {
	all, err := s.listMailboxes(ctx, u, namespace)
	if err != nil || s.settings.acl == nil {
		return all, err
	}
	l, err := s.lists(u, namespace)
	if err != nil {
		return nil, err
	}
	defer l.release()
	return slices.DeleteFunc(all, func(m backend.MailboxInfo) bool {
		if m.NonExistent {
			return false
		}
		has, err := l.rights(m.Name)
		if err != nil {
			s.log.WarnContext(ctx, "left out of the list of mailboxes", "user", u.Name, "namespace", namespace, "mailbox", m.Name, "err", err)
		}
		return has&acl.Lookup == 0
	}), nil
}

// listMailboxes is ListMailboxes whatever the user may look up.
func (s *Storage) listMailboxes(ctx context.Context, u *backend.User, namespace string) ([]backend.MailboxInfo, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	ns, p, err := s.locate(u, namespace)
	if err != nil {
		return nil, err
	}
	store, release, err := s.stores.store(p)
	if err != nil {
		return nil, toBackend(err)
	}
	defer release()
	list, damage, err := store.Mailboxes()
	if err != nil {
		return nil, toBackend(err)
	}
	for _, d := range damage {
		s.log.WarnContext(ctx, "left out of the list of mailboxes", "user", u.Name, "namespace", namespace, "damage", d)
	}
	infos := make([]backend.MailboxInfo, len(list))
	for i, m := range list {
		infos[i] = backend.MailboxInfo{Name: m.Name, NoSelect: m.NoSelect, NonExistent: m.NonExistent, NoInferiors: m.NoInferiors, Subscribed: m.Subscribed}
	}
	if s.stores.write != nil {
		infos = ns.addAuto(infos)
	}
	return infos, s.addSpecialUses(p, store, infos)
}

// addSpecialUses adds the special uses that the user has given mailboxes. Which mailbox is which is asked for only if there are any.
func (s *Storage) addSpecialUses(p place, store *mdbox.Store, list []backend.MailboxInfo) error {
	if s.settings.attributes == "" {
		return nil
	}
	all, err := store.Attributes()
	if err != nil {
		return toBackend(err)
	}
	key := mdbox.AttributeKey{Name: "specialuse"}
	left := all.Having(key)
	for i := range list {
		m := &list[i]
		if left == 0 {
			return nil
		}
		if m.NoSelect || m.NonExistent {
			continue
		}
		st, err := s.status(p, m.Name, 0)
		if err != nil {
			continue // STATUS tells why
		}
		if use, ok := all.Of(st.GUID)[key]; ok {
			m.SpecialUse = use
			left--
		}
	}
	return nil
}

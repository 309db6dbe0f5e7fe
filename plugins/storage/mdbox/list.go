package mdbox

import (
	"context"
	"slices"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox/acl"
)

// ListMailboxes implements backend.Storage. What the user may not look up is left out; a mailbox whose list can not be read as well, and is logged.
func (s *Storage) ListMailboxes(ctx context.Context, u *backend.User, namespace string) ([]backend.MailboxInfo, error) {
	all, err := s.listMailboxes(ctx, u, namespace)
	if err != nil || s.settings.acl == nil {
		return all, err
	}
	return slices.DeleteFunc(all, func(m backend.MailboxInfo) bool {
		if m.NonExistent {
			return false
		}
		has, err := s.rights(u, namespace, m.Name)
		if err != nil {
			s.log.Warn("left out of the list of mailboxes", "user", u.Name, "namespace", namespace, "mailbox", m.Name, "err", err)
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
		s.log.Warn("left out of the list of mailboxes", "user", u.Name, "namespace", namespace, "damage", d)
	}
	infos := make([]backend.MailboxInfo, len(list))
	for i, m := range list {
		infos[i] = backend.MailboxInfo(m)
	}
	if s.stores.write != nil {
		infos = ns.addAuto(infos)
	}
	return infos, nil
}

package mdbox

import (
	"context"

	"github.com/roostmail/roost/core/backend"
)

// ListMailboxes implements backend.Storage.
func (s *Storage) ListMailboxes(ctx context.Context, u *backend.User, namespace string) ([]backend.MailboxInfo, error) {
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

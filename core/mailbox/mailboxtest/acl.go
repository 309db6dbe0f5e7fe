package mailboxtest

import (
	"context"
	"slices"

	"github.com/roostmail/roost/core/backend"
)

// AllowACL makes that Info announces backend.CapACL. It is called before anybody asks. The user has all rights until SetRights; calls are refused only if
// a test makes them fail.
func (s *Store) AllowACL() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rights = map[boxKey]backend.Rights{}
	s.lists = map[boxKey][]backend.ACLEntry{}
}

// SetRights sets what a user may do with a mailbox.
func (s *Store) SetRights(user, namespace, name string, r backend.Rights) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rights[boxKey{user, namespace, name}] = r
}

func (s *Store) rightsOf(k boxKey) backend.Rights {
	if r, ok := s.rights[k]; ok {
		return r
	}
	return backend.AllRights
}

// MyRights implements backend.ACL.
func (s *Store) MyRights(_ context.Context, u *backend.User, namespace string, names []string) ([]backend.MailboxRights, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.enter("MyRights"); err != nil {
		return nil, err
	}
	out := make([]backend.MailboxRights, len(names))
	for i, name := range names {
		out[i].Rights = s.rightsOf(boxKey{u.Name, namespace, name})
	}
	return out, nil
}

// administered returns the key of a mailbox whose list the user may change.
func (s *Store) administered(m backend.MailboxRef) (boxKey, error) {
	k := boxKey{m.User.Name, m.Namespace, m.Name}
	if s.rightsOf(k)&backend.RightAdmin == 0 {
		return k, backend.Errorf(backend.KindNoPermission, "You lack administrator privileges on this mailbox")
	}
	_, err := s.find(m)
	return k, err
}

// GetACL implements backend.ACL.
func (s *Store) GetACL(_ context.Context, m backend.MailboxRef) ([]backend.ACLEntry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.enter("GetACL"); err != nil {
		return nil, err
	}
	k, err := s.administered(m)
	if err != nil {
		return nil, err
	}
	return append(slices.Clone(s.lists[k]), backend.ACLEntry{Identifier: m.User.Name, Rights: s.rightsOf(k)}), nil
}

// SetACL implements backend.ACL.
func (s *Store) SetACL(_ context.Context, m backend.MailboxRef, c backend.ACLChange) error {
	return s.changeList("SetACL", m, c.Identifier, c.Negative, func(old backend.Rights) (backend.Rights, bool) {
		switch c.Mode {
		case backend.StoreAdd:
			return old | c.Rights, true
		case backend.StoreRemove:
			return old &^ c.Rights, true
		}
		return c.Rights, true
	})
}

// DeleteACL implements backend.ACL.
func (s *Store) DeleteACL(_ context.Context, m backend.MailboxRef, identifier string, negative bool) error {
	return s.changeList("DeleteACL", m, identifier, negative, func(backend.Rights) (backend.Rights, bool) { return 0, false })
}

// changeList changes one entry, which is removed if change says so.
func (s *Store) changeList(call string, m backend.MailboxRef, id string, negative bool, change func(backend.Rights) (backend.Rights, bool)) error {
	return s.write(call, func() error {
		k, err := s.administered(m)
		if err != nil {
			return err
		}
		list := s.lists[k]
		i := slices.IndexFunc(list, func(e backend.ACLEntry) bool { return e.Identifier == id && e.Negative == negative })
		if i < 0 {
			i = len(list)
			list = append(list, backend.ACLEntry{Identifier: id, Negative: negative})
		}
		var keep bool
		if list[i].Rights, keep = change(list[i].Rights); !keep {
			list = slices.Delete(list, i, i+1)
		}
		s.lists[k] = list
		return nil
	})
}

var _ backend.ACL = (*Store)(nil)

package host

import (
	"context"

	"github.com/roostmail/roost/core/backend"
)

// acl runs do with the plugin's backend.ACL.
func (s storage) acl(ctx context.Context, repeat repetition, do func(backend.ACL) error) error {
	return s.p.call(ctx, repeat, func(p backend.Plugin) error {
		a, ok := p.(backend.ACL)
		if !ok || !p.Info().Has(backend.CapACL) {
			return backend.Errorf(backend.KindUnsupported, "the mail storage has no access control lists")
		}
		return do(a)
	})
}

// MyRights implements backend.ACL.
func (s storage) MyRights(ctx context.Context, u *backend.User, namespace string, names []string) (list []backend.MailboxRights, err error) {
	err = s.acl(ctx, twice, func(a backend.ACL) (err error) {
		list, err = a.MyRights(ctx, u, namespace, names)
		return err
	})
	return list, err
}

// GetACL implements backend.ACL.
func (s storage) GetACL(ctx context.Context, m backend.MailboxRef) (list []backend.ACLEntry, err error) {
	err = s.acl(ctx, twice, func(a backend.ACL) (err error) {
		list, err = a.GetACL(ctx, m)
		return err
	})
	return list, err
}

// SetACL implements backend.ACL.
func (s storage) SetACL(ctx context.Context, m backend.MailboxRef, change backend.ACLChange) error {
	if s.p.readOnly {
		return backend.Errorf(backend.KindReadOnly, "the mail storage is read-only")
	}
	return s.acl(ctx, onceCalled, func(a backend.ACL) error { return a.SetACL(ctx, m, change) })
}

// DeleteACL implements backend.ACL.
func (s storage) DeleteACL(ctx context.Context, m backend.MailboxRef, identifier string, negative bool) error {
	if s.p.readOnly {
		return backend.Errorf(backend.KindReadOnly, "the mail storage is read-only")
	}
	return s.acl(ctx, onceCalled, func(a backend.ACL) error { return a.DeleteACL(ctx, m, identifier, negative) })
}

var _ backend.ACL = storage{}

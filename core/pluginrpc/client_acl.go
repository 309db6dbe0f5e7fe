package pluginrpc

import (
	"context"
	"fmt"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// The calls of backend.ACL.

func (s *Storage) hasACL() error {
	if !s.info.Has(backend.CapACL) {
		return errNoACL()
	}
	return nil
}

func errNoACL() error {
	return backend.Errorf(backend.KindUnsupported, "the mail storage has no access control lists")
}

// MyRights implements backend.ACL. Long lists of names take several calls.
func (s *Storage) MyRights(ctx context.Context, u *backend.User, namespace string, names []string) ([]backend.MailboxRights, error) {
	if err := s.hasACL(); err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := checkUTF8("mailbox name", name); err != nil {
			return nil, err
		}
	}
	user := userToProto(u)
	out := make([]backend.MailboxRights, 0, len(names))
	for len(names) > 0 {
		n := statusBatch(names)
		resp, err := s.acl.MyRights(ctx, &storagev1.MyRightsRequest{User: user, Namespace: namespace, Names: names[:n]})
		if err != nil {
			return nil, s.err(ctx, err)
		}
		if len(resp.Mailboxes) != n {
			return nil, s.lie("MyRights", fmt.Errorf("%d elements for %d names", len(resp.Mailboxes), n))
		}
		for _, p := range resp.Mailboxes {
			out = append(out, backend.MailboxRights{Err: errorFromProto(p.GetError()), Rights: rightsFromProto(p.GetRights())})
		}
		names = names[n:]
	}
	return out, nil
}

// rightsFromProto leaves out rights that are not known here.
func rightsFromProto(n uint32) backend.Rights { return backend.Rights(n) & backend.AllRights }

// GetACL implements backend.ACL.
func (s *Storage) GetACL(ctx context.Context, m backend.MailboxRef) ([]backend.ACLEntry, error) {
	if err := s.hasACL(); err != nil {
		return nil, err
	}
	ref, err := mailboxToProto(m)
	if err != nil {
		return nil, err
	}
	resp, err := s.acl.GetACL(ctx, &storagev1.GetACLRequest{Mailbox: ref})
	if err != nil {
		return nil, s.err(ctx, err)
	}
	list := make([]backend.ACLEntry, len(resp.Entries))
	for i, e := range resp.Entries {
		list[i] = aclEntryFromProto(e)
	}
	return list, nil
}

func aclEntryFromProto(e *storagev1.ACLEntry) backend.ACLEntry {
	return backend.ACLEntry{Identifier: e.GetIdentifier(), Negative: e.GetNegative(), Rights: rightsFromProto(e.GetRights())}
}

func aclEntryToProto(e backend.ACLEntry) *storagev1.ACLEntry {
	return &storagev1.ACLEntry{Identifier: utf8Text(e.Identifier), Negative: e.Negative, Rights: uint32(e.Rights)}
}

// SetACL implements backend.ACL.
func (s *Storage) SetACL(ctx context.Context, m backend.MailboxRef, change backend.ACLChange) error {
	if err := s.hasACL(); err != nil {
		return err
	}
	ref, err := s.treeMailbox(m)
	if err == nil {
		err = checkUTF8("identifier", change.Identifier)
	}
	if err != nil {
		return err
	}
	return s.write(ctx, storagev1.ACL_SetACL_FullMethodName, &storagev1.SetACLRequest{Mailbox: ref, RequestId: requestID(ctx),
		Entry: aclEntryToProto(change.ACLEntry), Mode: storagev1.ACLMode(change.Mode)}, new(storagev1.SetACLResponse))
}

// DeleteACL implements backend.ACL.
func (s *Storage) DeleteACL(ctx context.Context, m backend.MailboxRef, identifier string, negative bool) error {
	if err := s.hasACL(); err != nil {
		return err
	}
	ref, err := s.treeMailbox(m)
	if err == nil {
		err = checkUTF8("identifier", identifier)
	}
	if err != nil {
		return err
	}
	return s.write(ctx, storagev1.ACL_DeleteACL_FullMethodName, &storagev1.DeleteACLRequest{Mailbox: ref, RequestId: requestID(ctx),
		Identifier: identifier, Negative: negative}, new(storagev1.DeleteACLResponse))
}

var _ backend.ACL = (*Storage)(nil)

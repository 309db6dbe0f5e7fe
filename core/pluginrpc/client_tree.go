package pluginrpc

import (
	"context"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// The calls of backend.Writer that change the tree of mailboxes.

// CreateMailbox implements backend.Writer.
func (s *Storage) CreateMailbox(ctx context.Context, m backend.MailboxRef) error {
	ref, err := s.treeMailbox(m)
	if err != nil {
		return err
	}
	return s.write(ctx, storagev1.Storage_CreateMailbox_FullMethodName,
		&storagev1.CreateMailboxRequest{Mailbox: ref, RequestId: requestID(ctx)}, new(storagev1.CreateMailboxResponse))
}

// DeleteMailbox implements backend.Writer.
func (s *Storage) DeleteMailbox(ctx context.Context, m backend.MailboxRef) error {
	ref, err := s.treeMailbox(m)
	if err != nil {
		return err
	}
	return s.write(ctx, storagev1.Storage_DeleteMailbox_FullMethodName,
		&storagev1.DeleteMailboxRequest{Mailbox: ref, RequestId: requestID(ctx)}, new(storagev1.DeleteMailboxResponse))
}

// RenameMailbox implements backend.Writer.
func (s *Storage) RenameMailbox(ctx context.Context, m backend.MailboxRef, newName string) error {
	ref, err := s.treeMailbox(m)
	if err != nil {
		return err
	}
	if err := checkUTF8("mailbox name", newName); err != nil {
		return err
	}
	return s.write(ctx, storagev1.Storage_RenameMailbox_FullMethodName,
		&storagev1.RenameMailboxRequest{Mailbox: ref, RequestId: requestID(ctx), NewName: newName}, new(storagev1.RenameMailboxResponse))
}

// Subscribe implements backend.Writer.
func (s *Storage) Subscribe(ctx context.Context, m backend.MailboxRef, subscribed bool) error {
	ref, err := s.treeMailbox(m)
	if err != nil {
		return err
	}
	return s.write(ctx, storagev1.Storage_Subscribe_FullMethodName,
		&storagev1.SubscribeRequest{Mailbox: ref, RequestId: requestID(ctx), Subscribed: subscribed}, new(storagev1.SubscribeResponse))
}

func (s *Storage) treeMailbox(m backend.MailboxRef) (*storagev1.MailboxRef, error) {
	if err := s.writable(); err != nil {
		return nil, err
	}
	return mailboxToProto(m)
}

package pluginrpc

import (
	"context"

	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

func (s *storageServer) CreateMailbox(ctx context.Context, r *storagev1.CreateMailboxRequest) (*storagev1.CreateMailboxResponse, error) {
	w, err := s.writer()
	if err != nil {
		return nil, err
	}
	return &storagev1.CreateMailboxResponse{}, w.CreateMailbox(withRequestID(ctx, r.RequestId), s.s.refs.ref(r.Mailbox))
}

func (s *storageServer) DeleteMailbox(ctx context.Context, r *storagev1.DeleteMailboxRequest) (*storagev1.DeleteMailboxResponse, error) {
	w, err := s.writer()
	if err != nil {
		return nil, err
	}
	return &storagev1.DeleteMailboxResponse{}, w.DeleteMailbox(withRequestID(ctx, r.RequestId), s.s.refs.ref(r.Mailbox))
}

func (s *storageServer) RenameMailbox(ctx context.Context, r *storagev1.RenameMailboxRequest) (*storagev1.RenameMailboxResponse, error) {
	w, err := s.writer()
	if err != nil {
		return nil, err
	}
	return &storagev1.RenameMailboxResponse{}, w.RenameMailbox(withRequestID(ctx, r.RequestId), s.s.refs.ref(r.Mailbox), r.NewName)
}

func (s *storageServer) Subscribe(ctx context.Context, r *storagev1.SubscribeRequest) (*storagev1.SubscribeResponse, error) {
	w, err := s.writer()
	if err != nil {
		return nil, err
	}
	return &storagev1.SubscribeResponse{}, w.Subscribe(withRequestID(ctx, r.RequestId), s.s.refs.ref(r.Mailbox), r.Subscribed)
}

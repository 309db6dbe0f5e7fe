package pluginrpc

import (
	"context"
	"errors"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// The calls of backend.Writer that change messages of one mailbox. Each is one call of the plugin, however many the UIDs are.

var errNoHeader = errors.New("first response without header")

// Store implements backend.Writer.
func (s *Storage) Store(ctx context.Context, r *backend.StoreRequest) (*backend.StoreResult, error) {
	req, err := s.storeToProto(ctx, r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.storage.Store(ctx)
	if err != nil {
		return nil, unsent(s.err(ctx, err))
	}
	sendErr := sendUIDs(stream, r.UIDs, func(column []byte) *storagev1.StoreRequest {
		next := req
		next.Uids, req = column, new(storagev1.StoreRequest)
		return next
	})
	var modified *uidsJoiner
	changed, err := receive(ctx, s, stream, sendErr, answer[*storagev1.StoreResponse]{
		call: "Store", since: r.Since,
		header: func(resp *storagev1.StoreResponse) (err error) {
			if resp.Header == nil {
				return errNoHeader
			}
			modified, err = newUIDsJoiner("modified", resp.Header.ModifiedCount, r.UIDs)
			if err == nil && modified.want > 0 && r.UnchangedSince == backend.AnyModSeq {
				return errors.New("modified messages without unchanged_since")
			}
			return err
		},
		columns: func(resp *storagev1.StoreResponse) error { return modified.add(resp.Modified) },
		done:    func() error { return modified.done() },
	})
	if err != nil {
		return nil, err
	}
	return &backend.StoreResult{Modified: modified.out, Changed: changed}, nil
}

func (s *Storage) storeToProto(ctx context.Context, r *backend.StoreRequest) (*storagev1.StoreRequest, error) {
	if err := s.writable(); err != nil {
		return nil, err
	}
	if err := checkKeywords(r.Keywords); err != nil {
		return nil, err
	}
	req := &storagev1.StoreRequest{
		MailboxId: optionalID(r.MailboxID),
		RequestId: requestID(ctx),
		Mode:      storagev1.StoreMode(r.Mode),
		Flags:     uint32(r.Flags),
		Keywords:  r.Keywords,
		Since:     r.Since,
		Compact:   true,
	}
	if r.UnchangedSince != backend.AnyModSeq {
		req.UnchangedSince = &r.UnchangedSince
	}
	return req, s.refs.address(req, r.Mailbox)
}

// checkKeywords refuses names that can not be sent.
func checkKeywords(names []string) error {
	for _, name := range names {
		if err := checkUTF8("keyword", name); err != nil {
			return err
		}
	}
	return nil
}

// Expunge implements backend.Writer.
func (s *Storage) Expunge(ctx context.Context, r *backend.ExpungeRequest) (*backend.ExpungeResult, error) {
	if err := s.writable(); err != nil {
		return nil, err
	}
	req := &storagev1.ExpungeRequest{
		MailboxId:   optionalID(r.MailboxID),
		RequestId:   requestID(ctx),
		OnlyDeleted: r.OnlyDeleted,
		Since:       r.Since,
	}
	if err := s.refs.address(req, r.Mailbox); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.storage.Expunge(ctx)
	if err != nil {
		return nil, unsent(s.err(ctx, err))
	}
	sendErr := sendUIDs(stream, r.UIDs, func(column []byte) *storagev1.ExpungeRequest {
		next := req
		next.Uids, req = column, new(storagev1.ExpungeRequest)
		return next
	})
	var expunged *uidsJoiner
	changed, err := receive(ctx, s, stream, sendErr, answer[*storagev1.ExpungeResponse]{
		call: "Expunge", since: r.Since,
		header: func(resp *storagev1.ExpungeResponse) (err error) {
			if resp.Header == nil {
				return errNoHeader
			}
			expunged, err = newUIDsJoiner("expunged", resp.Header.ExpungedCount, r.UIDs)
			return err
		},
		columns: func(resp *storagev1.ExpungeResponse) error { return expunged.add(resp.Expunged) },
		done:    func() error { return expunged.done() },
	})
	if err != nil {
		return nil, err
	}
	return &backend.ExpungeResult{Expunged: expunged.out, Changed: changed}, nil
}

// ClaimRecent implements backend.Writer.
func (s *Storage) ClaimRecent(ctx context.Context, m backend.MailboxRef, id [16]byte, since []byte) (*backend.ClaimResult, error) {
	if err := s.writable(); err != nil {
		return nil, err
	}
	req := &storagev1.ClaimRecentRequest{MailboxId: optionalID(id), RequestId: requestID(ctx), Since: since}
	if err := s.refs.address(req, m); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.storage.ClaimRecent(ctx, req)
	if err != nil {
		return nil, s.err(ctx, err)
	}
	var res backend.ClaimResult
	res.Changed, err = receive(ctx, s, stream, nil, answer[*storagev1.ClaimRecentResponse]{
		call: "ClaimRecent", since: since,
		header: func(resp *storagev1.ClaimRecentResponse) error {
			h := resp.Header
			if h == nil {
				return errNoHeader
			}
			if h.First > h.Next {
				return errors.New("first is above next")
			}
			res.First, res.Next = h.First, h.Next
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	return &res, nil
}

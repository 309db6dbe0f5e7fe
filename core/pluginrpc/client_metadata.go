package pluginrpc

import (
	"context"
	"fmt"
	"io"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// The calls of backend.Metadata.

func (s *Storage) keepsMetadata() error {
	if !s.info.Has(backend.CapMetadata) {
		return backend.Errorf(backend.KindUnsupported, "the mail storage keeps no annotations")
	}
	return nil
}

// GetMetadata implements backend.Metadata. Long lists of names take several calls.
func (s *Storage) GetMetadata(ctx context.Context, u *backend.User, namespace string, names []string, q backend.MetadataQuery) ([]backend.MailboxMetadata, error) {
	if err := s.keepsMetadata(); err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := checkUTF8("mailbox name", name); err != nil {
			return nil, err
		}
	}
	for _, name := range q.Entries {
		if err := checkUTF8("entry name", name); err != nil {
			return nil, err
		}
	}
	req := &storagev1.GetMetadataRequest{User: userToProto(u), Namespace: namespace, Entries: q.Entries, Depth: storagev1.MetadataDepth(q.Depth)}
	out, kept := make([]backend.MailboxMetadata, 0, len(names)), 0
	for len(names) > 0 {
		n := statusBatch(names)
		req.Names = names[:n]
		part, err := s.getMetadata(ctx, req, &q, &kept)
		if err != nil {
			return nil, err
		}
		out, names = append(out, part...), names[n:]
	}
	return out, nil
}

func (s *Storage) getMetadata(ctx context.Context, req *storagev1.GetMetadataRequest, q *backend.MetadataQuery, kept *int) ([]backend.MailboxMetadata, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.metadata.GetMetadata(ctx, req)
	if err != nil {
		return nil, s.err(ctx, err)
	}
	out := make([]backend.MailboxMetadata, len(req.Names))
	at, begun := uint32(0), false
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, s.err(ctx, err)
		}
		if resp.Mailbox < at || int(resp.Mailbox) >= len(out) {
			return nil, s.lie("GetMetadata", fmt.Errorf("mailbox %d of %d after %d", resp.Mailbox, len(out), at))
		}
		if resp.Mailbox == at && begun && len(resp.Entries) == 0 && resp.Error == nil {
			return nil, s.lie("GetMetadata", fmt.Errorf("response without entries for mailbox %d", at))
		}
		begun, at = true, resp.Mailbox
		m := &out[at]
		m.Err = errorFromProto(resp.Error)
		for _, e := range resp.Entries {
			n := len(m.Entries)
			if !q.Wants(e.GetName()) || n > 0 && e.GetName() <= m.Entries[n-1].Name {
				return nil, s.lie("GetMetadata", fmt.Errorf("entry %q was not asked for, or is out of order", e.GetName()))
			}
			if err := s.keep(kept, len(e.GetName())+len(e.GetValue())); err != nil {
				return nil, err
			}
			m.Entries = append(m.Entries, metadataFromProto(e))
		}
	}
}

// SetMetadata implements backend.Metadata.
func (s *Storage) SetMetadata(ctx context.Context, m backend.MailboxRef, changes []backend.MetadataEntry) error {
	if err := s.keepsMetadata(); err != nil {
		return err
	}
	ref, err := s.treeMailbox(m)
	if err != nil {
		return err
	}
	req := &storagev1.SetMetadataRequest{Mailbox: ref, RequestId: requestID(ctx)}
	for _, c := range changes {
		if err := checkUTF8("entry name", c.Name); err != nil {
			return err
		}
		req.Changes = append(req.Changes, metadataToProto(c))
	}
	return s.write(ctx, storagev1.Metadata_SetMetadata_FullMethodName, req, new(storagev1.SetMetadataResponse))
}

func metadataToProto(e backend.MetadataEntry) *storagev1.MetadataEntry {
	return &storagev1.MetadataEntry{Name: utf8Text(e.Name), Value: e.Value, Remove: e.Value == nil}
}

// metadataFromProto tells an empty value from none, which look alike on the wire.
func metadataFromProto(e *storagev1.MetadataEntry) backend.MetadataEntry {
	m := backend.MetadataEntry{Name: e.GetName()}
	if !e.GetRemove() {
		m.Value = append([]byte{}, e.GetValue()...)
	}
	return m
}

var _ backend.Metadata = (*Storage)(nil)

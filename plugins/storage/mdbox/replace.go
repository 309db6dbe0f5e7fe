package mdbox

import (
	"context"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/acl"
)

// replace is Append of a message that takes the place of another. For the quota counts by how much it is larger (RFC 8508 §3.4).
func (s *Storage) replace(ctx context.Context, r *backend.AppendRequest, m *openMailbox, p place, message mdbox.NewMessage, body *exactBody) (*backend.AppendResult, error) {
	if len(r.Messages) != 1 {
		return nil, backend.Errorf(backend.KindInvalidArgument, "%d messages to replace one", len(r.Messages))
	}
	for _, right := range []acl.Rights{acl.WriteDeleted, acl.Expunge} { // RFC 8508 §4.1
		if err := s.allow(r.Mailbox, right); err != nil {
			return nil, err
		}
	}
	old, err := sizeOf(m, r.Replaces.UID)
	if err != nil {
		return nil, s.failed(p, m, err)
	}
	if message.Size > old {
		if err := s.checkQuota(ctx, r.Mailbox, message.Size-old, 0); err != nil {
			return nil, err
		}
	}
	saved, err := m.Replace(ctx, r.Replaces.MailboxID, r.Replaces.UID, message)
	if err != nil {
		if body.err != nil {
			return nil, body.err
		}
		return nil, s.failed(p, m, err)
	}
	return &backend.AppendResult{UIDValidity: saved.UIDValidity, UIDs: saved.UIDs}, nil
}

// sizeOf returns the size of a message, 0 if there is none.
func sizeOf(m *openMailbox, uid uint32) (uint64, error) {
	ms, err := m.Messages([]uint32{uid})
	if err != nil {
		return 0, err
	}
	defer ms.Close()
	if !ms.Next() {
		return 0, ms.Err()
	}
	size, err := ms.Message().Size()
	if err != nil {
		return 0, nil // it is damaged, and counts as empty
	}
	return size, nil
}

package mdbox

import (
	"context"
	"errors"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/acl"
)

var _ backend.ModSeqs = (*Storage)(nil)

// EnableModSeqs implements backend.ModSeqs.
func (s *Storage) EnableModSeqs(ctx context.Context, ref backend.MailboxRef, id [16]byte, since []byte) (*backend.Changes, error) {
	if err := s.allow(ref, acl.Read); err != nil {
		return nil, err
	}
	m, p, release, err := s.changing(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := m.EnableModSeqs(ctx, id); err != nil {
		return nil, s.failed(p, m, err)
	}
	return s.changed(ctx, ref, since), nil
}

// Expunged implements backend.ModSeqs.
func (s *Storage) Expunged(ctx context.Context, ref backend.MailboxRef, id [16]byte, modseq uint64) (*backend.ExpungedResult, error) {
	if err := s.allow(ref, acl.Read); err != nil {
		return nil, err
	}
	m, p, release, err := s.mailbox(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer release()
	rs, err := m.ExpungedSince(id, modseq)
	if errors.Is(err, mdbox.ErrHistoryGone) {
		return &backend.ExpungedResult{}, nil
	}
	if err != nil {
		return nil, s.failed(p, m, err)
	}
	res := &backend.ExpungedResult{Known: true, UIDs: make([]backend.UIDRange, len(rs))}
	for i, r := range rs {
		res.UIDs[i] = backend.UIDRange(r)
	}
	return res, nil
}

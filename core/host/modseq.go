package host

import (
	"context"

	"github.com/roostmail/roost/core/backend"
)

// EnableModSeqs implements backend.ModSeqs. It may be done twice without harm.
func (s storage) EnableModSeqs(ctx context.Context, m backend.MailboxRef, id [16]byte, since []byte) (c *backend.Changes, err error) {
	if s.p.readOnly {
		return nil, backend.Errorf(backend.KindReadOnly, "the mail storage is read-only")
	}
	err = s.modseqs(ctx, func(p backend.ModSeqs) (err error) {
		c, err = p.EnableModSeqs(ctx, m, id, since)
		return err
	})
	return c, err
}

// Expunged implements backend.ModSeqs.
func (s storage) Expunged(ctx context.Context, m backend.MailboxRef, id [16]byte, modseq uint64) (res *backend.ExpungedResult, err error) {
	err = s.modseqs(ctx, func(p backend.ModSeqs) (err error) {
		res, err = p.Expunged(ctx, m, id, modseq)
		return err
	})
	return res, err
}

func (s storage) modseqs(ctx context.Context, do func(backend.ModSeqs) error) error {
	return s.p.call(ctx, twice, func(p backend.Plugin) error {
		m, ok := p.(backend.ModSeqs)
		if !ok || !p.Info().Has(backend.CapModSeqs) {
			return backend.Errorf(backend.KindUnsupported, "the mail storage keeps no modseqs")
		}
		return do(m)
	})
}

var _ backend.ModSeqs = storage{}

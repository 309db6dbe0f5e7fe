package host

import (
	"context"

	"github.com/roostmail/roost/core/backend"
)

// Quota implements backend.Quota.
func (s storage) Quota(ctx context.Context, u *backend.User) (roots []backend.QuotaRoot, err error) {
	err = s.p.call(ctx, twice, func(p backend.Plugin) (err error) {
		q, ok := p.(backend.Quota)
		if !ok || !p.Info().Has(backend.CapQuota) {
			return backend.Errorf(backend.KindUnsupported, "the mail storage has no quotas")
		}
		roots, err = q.Quota(ctx, u)
		return err
	})
	return roots, err
}

var _ backend.Quota = storage{}

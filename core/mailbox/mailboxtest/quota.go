package mailboxtest

import (
	"context"

	"github.com/roostmail/roost/core/backend"
)

// SetQuota makes that Info announces backend.CapQuota, with these roots. It is called first before anybody asks.
func (s *Store) SetQuota(roots ...backend.QuotaRoot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quota = roots
}

// Quota implements backend.Quota.
func (s *Store) Quota(context.Context, *backend.User) ([]backend.QuotaRoot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.enter("Quota"); err != nil {
		return nil, err
	}
	return append([]backend.QuotaRoot(nil), s.quota...), nil
}

var _ backend.Quota = (*Store)(nil)

package pluginrpc

import (
	"context"
	"fmt"
	"math"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// Quota implements backend.Quota.
func (s *Storage) Quota(ctx context.Context, u *backend.User) ([]backend.QuotaRoot, error) {
	if !s.info.Has(backend.CapQuota) {
		return nil, errNoQuota()
	}
	resp, err := s.quota.GetQuota(ctx, &storagev1.GetQuotaRequest{User: userToProto(u)})
	if err != nil {
		return nil, s.err(ctx, err)
	}
	roots := make([]backend.QuotaRoot, len(resp.Roots))
	for i, p := range resp.Roots {
		root := backend.QuotaRoot{Name: p.GetName(), Namespaces: p.GetNamespaces()}
		for _, r := range p.GetResources() {
			switch kind := r.GetKind(); {
			case kind < storagev1.QuotaKind_QUOTA_KIND_STORAGE || kind > storagev1.QuotaKind_QUOTA_KIND_MAILBOX:
				return nil, s.lie("GetQuota", fmt.Errorf("unknown kind %d of resource", kind))
			case r.GetLimit() == 0 || r.GetLimit() > math.MaxInt64 || r.GetUsage() > math.MaxInt64: // RFC 9208 §3.1: 63 bits
				return nil, s.lie("GetQuota", fmt.Errorf("usage %d of %d", r.GetUsage(), r.GetLimit()))
			}
			root.Resources = append(root.Resources, backend.QuotaResource{Kind: backend.QuotaKind(r.GetKind()), Usage: r.GetUsage(), Limit: r.GetLimit()})
		}
		roots[i] = root
	}
	return roots, nil
}

func errNoQuota() error {
	return backend.Errorf(backend.KindUnsupported, "the mail storage has no quotas")
}

// quotaServer serves roost.storage.v1.Quota.
type quotaServer struct {
	storagev1.UnimplementedQuotaServer
	s *Server
}

func (q *quotaServer) GetQuota(ctx context.Context, r *storagev1.GetQuotaRequest) (*storagev1.GetQuotaResponse, error) {
	p, ok := q.s.plugin.(backend.Quota)
	if !ok || !q.s.plugin.Info().Has(backend.CapQuota) {
		return nil, errNoQuota()
	}
	roots, err := p.Quota(ctx, userFromProto(r.User))
	if err != nil {
		return nil, err
	}
	resp := &storagev1.GetQuotaResponse{}
	for _, root := range roots {
		out := &storagev1.QuotaRoot{Name: utf8Text(root.Name), Namespaces: root.Namespaces}
		for _, x := range root.Resources {
			out.Resources = append(out.Resources, &storagev1.QuotaResource{Kind: storagev1.QuotaKind(x.Kind), Usage: x.Usage, Limit: x.Limit})
		}
		resp.Roots = append(resp.Roots, out)
	}
	return resp, nil
}

var _ backend.Quota = (*Storage)(nil)

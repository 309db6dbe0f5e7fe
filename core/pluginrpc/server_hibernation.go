package pluginrpc

import (
	"context"

	"github.com/roostmail/roost/core/backend"
	hibernationv1 "github.com/roostmail/roost/proto/roost/hibernation/v1"
)

// hibernationServer serves roost.hibernation.v1.Hibernation.
type hibernationServer struct {
	hibernationv1.UnimplementedHibernationServer
	policy backend.Hibernation
}

func (h *hibernationServer) Decide(ctx context.Context, r *hibernationv1.DecideRequest) (*hibernationv1.DecideResponse, error) {
	b, err := batchFromProto(r)
	if err != nil {
		return nil, err
	}
	a, err := h.policy.Decide(ctx, b)
	if err != nil {
		return nil, err
	}
	if a == nil {
		return nil, &backend.Error{Kind: backend.KindInternal, Detail: "Decide returned neither an answer nor an error"}
	}
	return answerToProto(a), nil
}

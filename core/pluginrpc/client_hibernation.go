package pluginrpc

import (
	"context"

	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	hibernationv1 "github.com/roostmail/roost/proto/roost/hibernation/v1"
)

// Hibernation is a hibernation plugin at the other end of a connection. It implements backend.Hibernation.
type Hibernation struct {
	*client
	policy hibernationv1.HibernationClient
}

func newHibernation(c *client, conn grpc.ClientConnInterface) *Hibernation {
	return &Hibernation{client: c, policy: hibernationv1.NewHibernationClient(conn)}
}

// Decide implements backend.Hibernation. A batch has MaxCandidates mailboxes at the most.
func (h *Hibernation) Decide(ctx context.Context, b *backend.HibernationBatch) (*backend.HibernationAnswer, error) {
	if err := b.Check(); err != nil {
		return nil, backend.Errorf(backend.KindInvalidArgument, "%v", err)
	}
	if b.Len() > MaxCandidates {
		return nil, backend.Errorf(backend.KindInvalidArgument, "%d mailboxes are more than %d", b.Len(), MaxCandidates)
	}
	resp, err := h.policy.Decide(ctx, batchToProto(b))
	if err != nil {
		return nil, h.err(ctx, err)
	}
	a, err := answerFromProto(resp, b)
	if err != nil {
		return nil, h.lie("Decide", err)
	}
	return a, nil
}

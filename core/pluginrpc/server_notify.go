package pluginrpc

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	notifyv1 "github.com/roostmail/roost/proto/roost/notify/v1"
)

// notifyServer serves roost.notify.v1.Notify.
type notifyServer struct {
	notifyv1.UnimplementedNotifyServer
	notify backend.Notify
}

func (n *notifyServer) Publish(ctx context.Context, r *notifyv1.PublishRequest) (*notifyv1.PublishResponse, error) {
	cs, err := changesFromProto(r.Changes)
	b := &backend.ChangeBatch{Changes: cs, Dropped: r.Dropped}
	if err == nil {
		err = b.Check()
	}
	if err != nil {
		return nil, backend.Errorf(backend.KindInvalidArgument, "%v", err)
	}
	return &notifyv1.PublishResponse{}, n.notify.Publish(ctx, b)
}

// Listen understands the first request, and the end of requests: others are for a later version of this server.
func (n *notifyServer) Listen(stream grpc.BidiStreamingServer[notifyv1.ListenRequest, notifyv1.ListenResponse]) error {
	l, ok := n.notify.(backend.Listener)
	if !ok || !n.notify.Info().Has(backend.CapListen) {
		return backend.Errorf(backend.KindUnsupported, "this plugin does not listen")
	}
	r, err := stream.Recv()
	if err != nil {
		return err
	}
	until := make(chan struct{})
	go func() { // ends with the stream
		for {
			if _, err := stream.Recv(); errors.Is(err, io.EOF) {
				close(until)
				return
			} else if err != nil {
				return
			}
		}
	}()
	err = l.Listen(stream.Context(), backend.ListenRequest{Node: r.Node, Until: until}, func(h *backend.Heard) error {
		if err := h.Check(); err != nil {
			return backend.Errorf(backend.KindInternal, "%v", err)
		}
		return stream.Send(&notifyv1.ListenResponse{Changes: changesToProto(h.Changes), Lost: h.Lost, Begun: h.Begun})
	})
	if err != nil {
		return err
	}
	select {
	case <-until:
		return nil
	default: // OK would say that nothing is missing
		return backend.Errorf(backend.KindUnavailable, "Listen has ended, and was not asked to")
	}
}

package pluginrpc

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	notifyv1 "github.com/roostmail/roost/proto/roost/notify/v1"
)

// Notify is a notify plugin at the other end of a connection. It implements backend.Notify and backend.Listener; without CapListen
// Listen fails with KindUnsupported.
type Notify struct {
	*client
	calls  notifyv1.NotifyClient
	listen notifyv1.NotifyClient // over gRPC: a lane is not held for ever
}

func newNotify(c *client, conn, direct grpc.ClientConnInterface) *Notify {
	return &Notify{client: c, calls: notifyv1.NewNotifyClient(conn), listen: notifyv1.NewNotifyClient(direct)}
}

// Publish implements backend.Notify.
func (n *Notify) Publish(ctx context.Context, b *backend.ChangeBatch) error {
	if err := b.Check(); err != nil {
		return backend.Errorf(backend.KindInvalidArgument, "%v", err)
	}
	_, err := n.calls.Publish(ctx, &notifyv1.PublishRequest{Changes: changesToProto(b.Changes), Dropped: b.Dropped})
	return n.err(ctx, err)
}

// Listen implements backend.Listener. A plugin that ends the stream without an error, and was not asked to, is KindUnavailable.
func (n *Notify) Listen(ctx context.Context, r backend.ListenRequest, hear func(*backend.Heard) error) error {
	if !n.info.Has(backend.CapListen) {
		return backend.Errorf(backend.KindUnsupported, "plugin %s does not listen", n.name)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // frees the stream
	stream, err := n.listen.Listen(ctx)
	if err != nil {
		return n.err(ctx, err)
	}
	// io.EOF: the stream has ended already, and Recv says why.
	if err := stream.Send(&notifyv1.ListenRequest{Node: utf8Text(r.Node)}); err != nil && !errors.Is(err, io.EOF) {
		return n.err(ctx, err)
	}
	gapless := n.info.Has(backend.CapListenGapless)
	var until <-chan struct{} // nil: never
	if gapless {
		until = r.Until
		ended := make(chan struct{})
		defer close(ended)
		go func() { // ends with this call
			select {
			case <-until:
				_ = stream.CloseSend() // Recv says why, if it fails
			case <-ended:
			}
		}()
	}
	for {
		p, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			select {
			case <-until:
				return nil
			default:
			}
			return &backend.Error{Kind: backend.KindUnavailable, Detail: "plugin " + n.name + " has ended Listen"}
		}
		if err != nil {
			return n.err(ctx, err)
		}
		h, err := heardFromProto(p)
		if err != nil {
			return n.lie("Listen", err)
		}
		h.Begun = h.Begun && gapless
		if err := hear(h); err != nil {
			return err
		}
	}
}

var _ backend.Listener = (*Notify)(nil)

package pluginrpc

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	statev1 "github.com/roostmail/roost/proto/roost/state/v1"
)

// State is a state plugin at the other end of a connection. It implements backend.State and backend.StateWatcher; without CapWatch
// Watch fails with KindUnsupported.
type State struct {
	*client
	calls statev1.StateClient
	watch statev1.StateClient // over gRPC: a lane is not held for ever
}

func newState(c *client, conn, direct grpc.ClientConnInterface) *State {
	return &State{client: c, calls: statev1.NewStateClient(conn), watch: statev1.NewStateClient(direct)}
}

// Get implements backend.State. It asks again for the keys that an answer had no room for.
func (s *State) Get(ctx context.Context, namespace string, keys []string) ([]backend.StateValue, error) {
	if err := backend.CheckStateKeys(namespace, keys); err != nil {
		return nil, invalid(err)
	}
	out := make([]backend.StateValue, 0, len(keys))
	for len(out) < len(keys) {
		p, err := s.calls.Get(ctx, &statev1.GetRequest{Namespace: namespace, Keys: keysToProto(keys[len(out):])})
		if err != nil {
			return nil, s.err(ctx, err)
		}
		if n := len(p.Values); n == 0 || n > len(keys)-len(out) {
			return nil, s.lie("Get", fmt.Errorf("%d values for %d keys", n, len(keys)-len(out)))
		}
		for _, v := range p.Values {
			value := valueFromProto(v)
			if err := value.Check(); err != nil {
				return nil, s.lie("Get", err)
			}
			out = append(out, value)
		}
	}
	return out, nil
}

// Put implements backend.State.
func (s *State) Put(ctx context.Context, r backend.StatePut) (out backend.StateResult, err error) {
	if err := r.Check(); err != nil {
		return out, invalid(err)
	}
	p, err := s.calls.Put(ctx, &statev1.PutRequest{Namespace: r.Namespace, Key: []byte(r.Key), Data: r.Data, Ttl: ttlToProto(r.TTL),
		IfVersion: r.IfVersion, IfAbsent: r.IfAbsent})
	if err != nil {
		return out, s.err(ctx, err)
	}
	out = backend.StateResult{Done: p.Done, Version: p.Version}
	if err := out.Check(&r); err != nil {
		return backend.StateResult{}, s.lie("Put", err)
	}
	return out, nil
}

// Delete implements backend.State.
func (s *State) Delete(ctx context.Context, r backend.StateDelete) (out backend.StateResult, err error) {
	if err := r.Check(); err != nil {
		return out, invalid(err)
	}
	p, err := s.calls.Delete(ctx, &statev1.DeleteRequest{Namespace: r.Namespace, Key: []byte(r.Key), IfVersion: r.IfVersion})
	if err != nil {
		return out, s.err(ctx, err)
	}
	out = backend.StateResult{Done: p.Done, Version: p.Version}
	if err := out.CheckDelete(&r); err != nil {
		return backend.StateResult{}, s.lie("Delete", err)
	}
	return out, nil
}

// List implements backend.State.
func (s *State) List(ctx context.Context, r backend.StateList) (*backend.StatePage, error) {
	if err := r.Check(); err != nil {
		return nil, invalid(err)
	}
	p, err := s.calls.List(ctx, &statev1.ListRequest{Namespace: r.Namespace, Prefix: []byte(r.Prefix), After: []byte(r.After), Limit: uint32(r.Limit)})
	if err != nil {
		return nil, s.err(ctx, err)
	}
	out := pageFromProto(p)
	if err := out.Check(&r); err != nil {
		return nil, s.lie("List", err)
	}
	return out, nil
}

// Watch implements backend.StateWatcher. A plugin that ends the stream without an error is KindUnavailable.
func (s *State) Watch(ctx context.Context, r backend.StateWatch, tell func(*backend.StateNews) error) error {
	if !s.info.Has(backend.CapWatch) {
		return backend.Errorf(backend.KindUnsupported, "plugin %s does not tell of changes", s.name)
	}
	if err := r.Check(); err != nil {
		return invalid(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // frees the stream
	stream, err := s.watch.Watch(ctx, &statev1.WatchRequest{Namespace: r.Namespace, Prefix: []byte(r.Prefix)})
	if err != nil {
		return s.err(ctx, err)
	}
	for first := true; ; first = false {
		p, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return &backend.Error{Kind: backend.KindUnavailable, Detail: "plugin " + s.name + " has ended Watch"}
		}
		if err != nil {
			return s.err(ctx, err)
		}
		n := newsFromProto(p)
		if err = n.Check(&r); err == nil && first && !n.Lost {
			err = fmt.Errorf("the first response does not say lost")
		}
		if err != nil {
			return s.lie("Watch", err)
		}
		if err := tell(n); err != nil {
			return err
		}
	}
}

// invalid makes the error of a request that breaks a rule.
func invalid(rule error) error { return backend.Errorf(backend.KindInvalidArgument, "%v", rule) }

var _ backend.StateWatcher = (*State)(nil)

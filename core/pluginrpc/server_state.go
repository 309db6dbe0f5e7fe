package pluginrpc

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	statev1 "github.com/roostmail/roost/proto/roost/state/v1"
)

// stateServer serves roost.state.v1.State.
type stateServer struct {
	statev1.UnimplementedStateServer
	state backend.State
}

// Get answers as many of the first keys as fit.
func (s *stateServer) Get(ctx context.Context, r *statev1.GetRequest) (*statev1.GetResponse, error) {
	keys := keysFromProto(r.Keys)
	if err := backend.CheckStateKeys(r.Namespace, keys); err != nil {
		return nil, invalid(err)
	}
	values, err := s.state.Get(ctx, r.Namespace, keys)
	if err != nil {
		return nil, err
	}
	if len(values) != len(keys) {
		return nil, wrong(fmt.Errorf("%d values for %d keys", len(values), len(keys)))
	}
	out, size := &statev1.GetResponse{}, 0
	for i := range values {
		if err := values[i].Check(); err != nil {
			return nil, wrong(err)
		}
		if size += len(values[i].Data); size > backend.MaxStateBytes {
			break
		}
		out.Values = append(out.Values, valueToProto(values[i]))
	}
	return out, nil
}

func (s *stateServer) Put(ctx context.Context, r *statev1.PutRequest) (*statev1.PutResponse, error) {
	p := backend.StatePut{Namespace: r.Namespace, Key: string(r.Key), Data: r.Data, TTL: ttlFromProto(r.Ttl), IfVersion: r.IfVersion, IfAbsent: r.IfAbsent}
	if err := p.Check(); err != nil {
		return nil, invalid(err)
	}
	out, err := s.state.Put(ctx, p)
	if err != nil {
		return nil, err
	}
	return &statev1.PutResponse{Done: out.Done, Version: out.Version}, nil
}

func (s *stateServer) Delete(ctx context.Context, r *statev1.DeleteRequest) (*statev1.DeleteResponse, error) {
	d := backend.StateDelete{Namespace: r.Namespace, Key: string(r.Key), IfVersion: r.IfVersion}
	if err := d.Check(); err != nil {
		return nil, invalid(err)
	}
	out, err := s.state.Delete(ctx, d)
	if err != nil {
		return nil, err
	}
	return &statev1.DeleteResponse{Done: out.Done, Version: out.Version}, nil
}

func (s *stateServer) List(ctx context.Context, r *statev1.ListRequest) (*statev1.ListResponse, error) {
	l := backend.StateList{Namespace: r.Namespace, Prefix: string(r.Prefix), After: string(r.After), Limit: int(r.Limit)}
	if err := l.Check(); err != nil {
		return nil, invalid(err)
	}
	page, err := s.state.List(ctx, l)
	if err != nil {
		return nil, err
	}
	if err := page.Check(&l); err != nil {
		return nil, wrong(err)
	}
	return pageToProto(page), nil
}

func (s *stateServer) Watch(r *statev1.WatchRequest, stream grpc.ServerStreamingServer[statev1.WatchResponse]) error {
	watcher, ok := s.state.(backend.StateWatcher)
	if !ok || !s.state.Info().Has(backend.CapWatch) {
		return backend.Errorf(backend.KindUnsupported, "this plugin does not tell of changes")
	}
	w := backend.StateWatch{Namespace: r.Namespace, Prefix: string(r.Prefix)}
	if err := w.Check(); err != nil {
		return invalid(err)
	}
	return watcher.Watch(stream.Context(), w, func(n *backend.StateNews) error {
		if err := n.Check(&w); err != nil {
			return wrong(err)
		}
		return stream.Send(newsToProto(n))
	})
}

// wrong makes the error of an implementation that breaks a rule.
func wrong(rule error) error { return backend.Errorf(backend.KindInternal, "%v", rule) }

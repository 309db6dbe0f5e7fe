package pluginrpc

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	pluginv1 "github.com/roostmail/roost/proto/roost/plugin/v1"
	statev1 "github.com/roostmail/roost/proto/roost/state/v1"
)

// fakeState keeps what it was asked, and answers what its fields say.
type fakeState struct {
	fakeBase
	asked  any
	values []backend.StateValue
	result backend.StateResult
	page   *backend.StatePage
	news   []*backend.StateNews
}

var stateInfo = backend.Info{Kind: backend.KindState, Name: "fake", Capabilities: []string{backend.CapWatch}}

func (s *fakeState) Get(_ context.Context, _ string, keys []string) ([]backend.StateValue, error) {
	s.asked = keys
	return s.values[len(s.values)-len(keys):], nil
}

func (s *fakeState) Put(_ context.Context, p backend.StatePut) (backend.StateResult, error) {
	s.asked = p
	return s.result, nil
}

func (s *fakeState) Delete(_ context.Context, d backend.StateDelete) (backend.StateResult, error) {
	s.asked = d
	return s.result, nil
}

func (s *fakeState) List(_ context.Context, l backend.StateList) (*backend.StatePage, error) {
	s.asked = l
	return s.page, nil
}

func (s *fakeState) Watch(ctx context.Context, w backend.StateWatch, tell func(*backend.StateNews) error) error {
	s.asked = w
	for _, n := range s.news {
		if err := tell(n); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

func TestStateCarriesEverything(t *testing.T) {
	p := &fakeState{fakeBase: fakeBase{stateInfo}, result: backend.StateResult{Done: true, Version: 1<<64 - 1},
		values: []backend.StateValue{{Version: 7, Data: []byte("\xff\x00"), TTL: time.Hour}, {}},
		page:   &backend.StatePage{More: true, Entries: []backend.StateEntry{{Key: "a\xff", StateValue: backend.StateValue{Version: 3, Data: []byte("x")}}}},
		news:   []*backend.StateNews{{Lost: true, Changes: []backend.StateChange{}}, {Changes: []backend.StateChange{{Key: "a\xff", Version: 3}, {Key: "a"}}}}}
	c := connect(t, p, ClientOptions{}).(*State)
	same := func(what string, got, want any, err error) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", what, got, err, want)
		}
	}
	keys := []string{"a\xff", "b"}
	values, err := c.Get(t.Context(), "n", keys)
	same("Get", values, p.values, err)
	same("Get asks", p.asked, keys, nil)
	put := backend.StatePut{Namespace: "n", Key: "k\xff", Data: []byte{1}, TTL: 1500 * time.Millisecond, IfVersion: 9}
	result, err := c.Put(t.Context(), put)
	same("Put", result, p.result, err)
	same("Put asks", p.asked, put, nil)
	put.IfVersion, put.IfAbsent = 0, true
	_, err = c.Put(t.Context(), put)
	same("Put of what is absent asks", p.asked, put, err)
	p.result = backend.StateResult{Version: 4}
	remove := backend.StateDelete{Namespace: "n", Key: "k", IfVersion: 5}
	result, err = c.Delete(t.Context(), remove)
	same("Delete", result, p.result, err)
	same("Delete asks", p.asked, remove, nil)
	list := backend.StateList{Namespace: "n", Prefix: "a", After: "a\x00", Limit: 1000}
	page, err := c.List(t.Context(), list)
	same("List", page, p.page, err)
	same("List asks", p.asked, list, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var news []*backend.StateNews
	watch := backend.StateWatch{Namespace: "n", Prefix: "a"}
	err = c.Watch(ctx, watch, func(n *backend.StateNews) error {
		if news = append(news, n); len(news) == 2 {
			cancel()
		}
		return nil
	})
	if backend.KindOf(err) != backend.KindCancelled {
		t.Errorf("the end of Watch: %v", err)
	}
	same("Watch", news, p.news, nil)
	same("Watch asks", p.asked, watch, nil)
}

// TestGetAsksForTheRest: values that one answer can not hold come with the next.
func TestGetAsksForTheRest(t *testing.T) {
	p := &fakeState{fakeBase: fakeBase{stateInfo}}
	keys := make([]string, backend.MaxStateBatch)
	for i := range keys {
		keys[i] = "k"
		p.values = append(p.values, backend.StateValue{Version: uint64(i + 1)})
		if i < 100 {
			p.values[i].Data = make([]byte, backend.MaxStateValue)
		}
	}
	got, err := connect(t, p, ClientOptions{}).(*State).Get(t.Context(), "n", keys)
	if err != nil || len(got) != len(keys) {
		t.Fatalf("%d values, %v", len(got), err)
	}
	for i, v := range got {
		if v.Version != uint64(i+1) || len(v.Data) != len(p.values[i].Data) {
			t.Fatalf("value %d: version %d, %d bytes", i, v.Version, len(v.Data))
		}
	}
	if asked := p.asked.([]string); len(asked) == len(keys) {
		t.Error("one answer held all of them")
	}
}

// lyingState does not use this package's server side.
type lyingState struct {
	pluginv1.UnimplementedPluginServer
	statev1.UnimplementedStateServer
	free   bool // the request has no condition
	absent bool // it has if_absent
	get    *statev1.GetResponse
	put    *statev1.PutResponse
	delete *statev1.DeleteResponse
	list   *statev1.ListResponse
	watch  *statev1.WatchResponse
}

func (*lyingState) Info(context.Context, *pluginv1.InfoRequest) (*pluginv1.InfoResponse, error) {
	return &pluginv1.InfoResponse{Kind: "state", Name: "liar", Capabilities: []string{backend.CapWatch}}, nil
}
func (l *lyingState) Get(context.Context, *statev1.GetRequest) (*statev1.GetResponse, error) {
	return l.get, nil
}
func (l *lyingState) Put(context.Context, *statev1.PutRequest) (*statev1.PutResponse, error) {
	return l.put, nil
}
func (l *lyingState) Delete(context.Context, *statev1.DeleteRequest) (*statev1.DeleteResponse, error) {
	return l.delete, nil
}
func (l *lyingState) List(context.Context, *statev1.ListRequest) (*statev1.ListResponse, error) {
	return l.list, nil
}
func (l *lyingState) Watch(_ *statev1.WatchRequest, s grpc.ServerStreamingServer[statev1.WatchResponse]) error {
	return s.Send(l.watch)
}

func TestLiesOfStateStores(t *testing.T) {
	entry := func(key string, version uint64, size int) *statev1.Entry {
		return &statev1.Entry{Key: []byte(key), Value: &statev1.Value{Version: version, Data: make([]byte, size)}}
	}
	long := &statev1.ListResponse{}
	for i := range 40 {
		long.Entries = append(long.Entries, entry("k"+string(rune('A'+i)), 1, backend.MaxStateValue))
	}
	get := func(vs ...*statev1.Value) lyingState { return lyingState{get: &statev1.GetResponse{Values: vs}} }
	list := func(es ...*statev1.Entry) lyingState {
		return lyingState{list: &statev1.ListResponse{Entries: es}}
	}
	for _, c := range []struct {
		rule string
		lie  lyingState
	}{
		{"although there was no condition", lyingState{free: true, put: &statev1.PutResponse{Version: 5}}},
		{"a value was written, and has no version", lyingState{free: true, put: &statev1.PutResponse{Done: true}}},
		{"although there was no condition", lyingState{free: true, delete: &statev1.DeleteResponse{Version: 5}}},
		{"although the condition held", lyingState{absent: true, put: &statev1.PutResponse{}}},
		{"entry 0: its key is longer than 1024 bytes", list(entry("k"+strings.Repeat("x", backend.MaxStateKey), 1, 0))},
		{"entry 0: a ttl of", list(&statev1.Entry{Key: []byte("kb"), Value: &statev1.Value{Version: 1, Ttl: 1 << 63}})},
		{"a key of 1025 bytes", lyingState{watch: &statev1.WatchResponse{Lost: true, Changes: []*statev1.Change{{Key: make([]byte, backend.MaxStateKey+1)}}}}},
		{"0 values for 2 keys", get()},
		{"3 values for 2 keys", get(nil, nil, nil)},
		{"a key that does not exist has a value", get(&statev1.Value{Data: []byte{1}})},
		{"a key that does not exist has a value", get(&statev1.Value{Ttl: 1})},
		{"a value of 65537 bytes", get(&statev1.Value{Version: 1, Data: make([]byte, backend.MaxStateValue+1)})},
		{"a ttl of", get(&statev1.Value{Version: 1, Ttl: 1<<64 - 1})},
		{"a value was written, and has no version", lyingState{put: &statev1.PutResponse{Done: true}}},
		{"version 5 came after version 5", lyingState{put: &statev1.PutResponse{Done: true, Version: 5}}},
		{"although the condition held", lyingState{put: &statev1.PutResponse{Version: 5}}},
		{"version 6 was removed, not 5", lyingState{delete: &statev1.DeleteResponse{Done: true, Version: 6}}},
		{"although the condition held", lyingState{delete: &statev1.DeleteResponse{Version: 5}}},
		{"a page without entries is not the last", lyingState{list: &statev1.ListResponse{More: true}}},
		{"entry 0: its key is not greater", list(entry("k", 1, 0))},
		{"entry 1: its key is not greater", list(entry("kc", 1, 0), entry("kb", 1, 0))},
		{"entry 0: its key does not begin with the prefix", list(entry("l", 1, 0))},
		{"entry 0: it does not exist", list(entry("kb", 0, 0))},
		{"entry 0: a value of 65537 bytes", list(entry("kb", 1, backend.MaxStateValue+1))},
		{"a page of 2621", lyingState{list: long}},
		{"51 entries are more than 50", lyingState{list: &statev1.ListResponse{Entries: make([]*statev1.Entry, 51)}}},
		{"the first response does not say lost", lyingState{watch: &statev1.WatchResponse{}}},
		{"a key of 0 bytes", lyingState{watch: &statev1.WatchResponse{Lost: true, Changes: []*statev1.Change{nil}}}},
		{"does not begin with the prefix", lyingState{watch: &statev1.WatchResponse{Lost: true, Changes: []*statev1.Change{{Key: []byte("l")}}}}},
		{"1001 changes", lyingState{watch: &statev1.WatchResponse{Lost: true, Changes: make([]*statev1.Change, 1001)}}},
	} {
		l := &c.lie
		conn := serve(t, nil, func(r grpc.ServiceRegistrar) {
			pluginv1.RegisterPluginServer(r, l)
			statev1.RegisterStateServer(r, l)
		})
		p, err := New(t.Context(), conn, ClientOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s, ifVersion := p.(*State), uint64(5)
		if l.free || l.absent {
			ifVersion = 0
		}
		switch {
		case l.get != nil:
			_, err = s.Get(t.Context(), "n", []string{"a", "b"})
		case l.put != nil:
			_, err = s.Put(t.Context(), backend.StatePut{Namespace: "n", Key: "k", IfVersion: ifVersion, IfAbsent: l.absent})
		case l.delete != nil:
			_, err = s.Delete(t.Context(), backend.StateDelete{Namespace: "n", Key: "k", IfVersion: ifVersion})
		case l.list != nil:
			_, err = s.List(t.Context(), backend.StateList{Namespace: "n", Prefix: "k", After: "k", Limit: 50})
		default:
			err = s.Watch(t.Context(), backend.StateWatch{Namespace: "n", Prefix: "k"}, func(*backend.StateNews) error { return nil })
		}
		checkLie(t, err, c.rule)
	}
}

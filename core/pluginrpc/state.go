package pluginrpc

import (
	"math"
	"time"

	"github.com/roostmail/roost/core/backend"
	statev1 "github.com/roostmail/roost/proto/roost/state/v1"
)

// Conversions between core/backend and roost.state.v1, in pairs. backend's Check methods do the checks.

func valueToProto(v backend.StateValue) *statev1.Value {
	return &statev1.Value{Version: v.Version, Data: v.Data, Ttl: ttlToProto(v.TTL)}
}

func valueFromProto(p *statev1.Value) backend.StateValue {
	return backend.StateValue{Version: p.GetVersion(), Data: p.GetData(), TTL: ttlFromProto(p.GetTtl())}
}

// ttlToProto rounds up, so that what lasts for a moment does not last for ever.
func ttlToProto(d time.Duration) uint64 {
	return uint64((d + time.Millisecond - 1) / time.Millisecond)
}

// ttlFromProto makes something that no check takes of what is no duration.
func ttlFromProto(ms uint64) time.Duration {
	if ms > math.MaxInt64/uint64(time.Millisecond) {
		return math.MaxInt64
	}
	return time.Duration(ms) * time.Millisecond
}

func keysToProto(keys []string) [][]byte {
	out := make([][]byte, len(keys))
	for i, k := range keys {
		out[i] = []byte(k)
	}
	return out
}

func keysFromProto(ps [][]byte) []string {
	out := make([]string, len(ps))
	for i, p := range ps {
		out[i] = string(p)
	}
	return out
}

func pageToProto(p *backend.StatePage) *statev1.ListResponse {
	out := &statev1.ListResponse{More: p.More, Entries: make([]*statev1.Entry, len(p.Entries))}
	for i, e := range p.Entries {
		out.Entries[i] = &statev1.Entry{Key: []byte(e.Key), Value: valueToProto(e.StateValue)}
	}
	return out
}

func pageFromProto(p *statev1.ListResponse) *backend.StatePage {
	out := &backend.StatePage{More: p.More, Entries: make([]backend.StateEntry, len(p.Entries))}
	for i, e := range p.Entries {
		out.Entries[i] = backend.StateEntry{Key: string(e.GetKey()), StateValue: valueFromProto(e.GetValue())}
	}
	return out
}

func newsToProto(n *backend.StateNews) *statev1.WatchResponse {
	out := &statev1.WatchResponse{Lost: n.Lost, Changes: make([]*statev1.Change, len(n.Changes))}
	for i, c := range n.Changes {
		out.Changes[i] = &statev1.Change{Key: []byte(c.Key), Version: c.Version}
	}
	return out
}

func newsFromProto(p *statev1.WatchResponse) *backend.StateNews {
	out := &backend.StateNews{Lost: p.Lost, Changes: make([]backend.StateChange, len(p.Changes))}
	for i, c := range p.Changes {
		out.Changes[i] = backend.StateChange{Key: string(c.GetKey()), Version: c.GetVersion()}
	}
	return out
}

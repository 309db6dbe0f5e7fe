package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// plugin keeps keys and values in a map until it ends: a database in its place makes it one that servers share.
type plugin struct {
	mu      sync.Mutex
	max     int64 // bytes
	used    int64
	version uint64 // the last one that was given
	values  map[name]value
}

// name is a key with its namespace.
type name struct{ namespace, key string }

// value is what a key has.
type value struct {
	version uint64
	data    []byte
	ends    time.Time // zero: never
}

// overhead is what a key takes beside its bytes, about.
const overhead = 128

func (n name) size(v value) int64 { return overhead + int64(len(n.namespace)+len(n.key)+len(v.data)) }

// Info implements backend.Plugin.
func (p *plugin) Info() backend.Info {
	return backend.Info{
		Kind: backend.KindState, Name: "state-map", Version: "1.0.0", Description: "keeps keys and values in a map",
		Options: []backend.Option{{Name: "max_bytes", Type: backend.OptionSize, Default: "64M", Help: "memory for keys and values; beyond it nothing more is written"}},
	}
}

// Configure implements backend.Plugin. Versions go on from the time, so that no process gives one a second time.
func (p *plugin) Configure(_ context.Context, c backend.Config) (err error) {
	p.max, p.used, p.version, p.values = 64<<20, 0, uint64(time.Now().UnixNano()), map[name]value{}
	if text, ok := c.Options["max_bytes"].(string); ok {
		if p.max, err = backend.ParseSize(text); err != nil {
			return backend.OptionErrorf("max_bytes", "%q %v", text, err)
		}
	}
	return nil
}

// Health implements backend.Plugin.
func (p *plugin) Health(context.Context) error { return nil }

// Close implements backend.Plugin.
func (p *plugin) Close() error { return nil }

// begin checks a request, and locks the map for it.
func (p *plugin) begin(ctx context.Context, rule error) (unlock func(), err error) {
	if rule != nil {
		return nil, backend.Errorf(backend.KindInvalidArgument, "%v", rule)
	}
	if ctx.Err() != nil {
		return nil, backend.Errorf(backend.KindCancelled, "cancelled")
	}
	p.mu.Lock()
	return p.mu.Unlock, nil
}

// get returns a value, with version 0 if there is none.
func (p *plugin) get(n name) value {
	v, ok := p.values[n]
	if ok && v.expired(time.Now()) {
		p.remove(n)
		return value{}
	}
	return v
}

func (v value) expired(now time.Time) bool { return !v.ends.IsZero() && !v.ends.After(now) }

// shown returns a value as core gets it.
func (v value) shown() backend.StateValue {
	out := backend.StateValue{Version: v.version, Data: v.data}
	if !v.ends.IsZero() { // a part of a millisecond is one, or it would stay for ever
		out.TTL = max(time.Millisecond, (time.Until(v.ends) + time.Millisecond - 1).Truncate(time.Millisecond))
	}
	return out
}

func (p *plugin) remove(n name) {
	if v, ok := p.values[n]; ok {
		p.used -= n.size(v)
		delete(p.values, n)
	}
}

// Get implements backend.State.
func (p *plugin) Get(ctx context.Context, namespace string, keys []string) ([]backend.StateValue, error) {
	unlock, err := p.begin(ctx, backend.CheckStateKeys(namespace, keys))
	if err != nil {
		return nil, err
	}
	defer unlock()
	out := make([]backend.StateValue, len(keys))
	for i, key := range keys {
		if v := p.get(name{namespace, key}); v.version != 0 {
			out[i] = v.shown()
		}
	}
	return out, nil
}

// Put implements backend.State.
func (p *plugin) Put(ctx context.Context, r backend.StatePut) (backend.StateResult, error) {
	unlock, err := p.begin(ctx, r.Check())
	if err != nil {
		return backend.StateResult{}, err
	}
	defer unlock()
	n := name{r.Namespace, r.Key}
	old := p.get(n)
	if r.IfAbsent && old.version != 0 || r.IfVersion != 0 && old.version != r.IfVersion {
		return backend.StateResult{Version: old.version}, nil
	}
	next := value{data: r.Data}
	if r.TTL > 0 {
		next.ends = time.Now().Add(r.TTL)
	}
	grown := n.size(next)
	if old.version != 0 {
		grown -= n.size(old)
	}
	if grown > 0 && p.used+grown > p.max {
		now := time.Now()
		for other, v := range p.values {
			if v.expired(now) {
				p.remove(other)
			}
		}
		if p.used+grown > p.max {
			return backend.StateResult{}, backend.Errorf(backend.KindLimit, "the state store is full (options.max_bytes)")
		}
	}
	p.version++
	next.version = p.version
	p.used += grown
	p.values[n] = next
	return backend.StateResult{Done: true, Version: next.version}, nil
}

// Delete implements backend.State.
func (p *plugin) Delete(ctx context.Context, r backend.StateDelete) (backend.StateResult, error) {
	unlock, err := p.begin(ctx, r.Check())
	if err != nil {
		return backend.StateResult{}, err
	}
	defer unlock()
	n := name{r.Namespace, r.Key}
	old := p.get(n)
	if r.IfVersion != 0 && old.version != r.IfVersion {
		return backend.StateResult{Version: old.version}, nil
	}
	p.remove(n)
	return backend.StateResult{Done: true, Version: old.version}, nil
}

// List implements backend.State. It looks at all keys: a database would have an index.
func (p *plugin) List(ctx context.Context, r backend.StateList) (*backend.StatePage, error) {
	unlock, err := p.begin(ctx, r.Check())
	if err != nil {
		return nil, err
	}
	defer unlock()
	var keys []string
	for n := range maps.Keys(p.values) {
		if n.namespace == r.Namespace && strings.HasPrefix(n.key, r.Prefix) && n.key > r.After {
			keys = append(keys, n.key)
		}
	}
	slices.Sort(keys)
	page, size := &backend.StatePage{}, 0
	for _, key := range keys {
		v := p.get(name{r.Namespace, key})
		if v.version == 0 {
			continue
		}
		size += len(key) + len(v.data)
		if len(page.Entries) == r.Limit || len(page.Entries) > 0 && size > backend.MaxStateBytes {
			page.More = true
			break
		}
		page.Entries = append(page.Entries, backend.StateEntry{Key: key, StateValue: v.shown()})
	}
	return page, nil
}

package memory

import (
	"container/heap"
	"strings"
	"sync"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// itemBytes is what a key takes beside its name and value: the item, and its places in the map, the index and the heap.
const itemBytes = 256

// store holds the keys. Plugin.mu guards it, but for what ends it.
type store struct {
	stop     chan struct{} // closed by Plugin.Close
	stopOnce sync.Once
	done     sync.WaitGroup // for Plugin.expire

	max     int64 // bytes
	now     func() time.Time
	used    int64  // bytes, itemBytes for each key included
	version uint64 // the last one that was given
	items   map[string]*item
	index   index
	expiry  expiry
	watches map[*watch]struct{}
	earlier chan struct{} // has an element when the earliest end has become an earlier one
}

// item is a key that exists.
type item struct {
	name    string // namespace, 0, key
	data    []byte
	version uint64
	ends    time.Time // zero: never
	at      int       // in the heap, -1: not there
}

func newStore(max int64, now func() time.Time) *store {
	return &store{stop: make(chan struct{}), max: max, now: now, version: uint64(now().UnixNano()), items: map[string]*item{}, watches: map[*watch]struct{}{},
		earlier: make(chan struct{}, 1)}
}

// nameOf returns the name of a key in the map, or what the names of keys with a prefix begin with.
func nameOf(namespace, key string) string { return namespace + "\x00" + key }

// value returns what a key has at a time; i may be nil.
func (i *item) value(now time.Time) (v backend.StateValue) {
	if i == nil {
		return v
	}
	v = backend.StateValue{Version: i.version, Data: i.data}
	if !i.ends.IsZero() {
		v.TTL = (i.ends.Sub(now) + time.Millisecond - 1).Truncate(time.Millisecond)
	}
	return v
}

func (i *item) bytes() int64 { return itemBytes + int64(len(i.name)+len(i.data)) }

// get looks keys up.
func (s *store) get(namespace string, keys []string) []backend.StateValue {
	now := s.clean()
	out := make([]backend.StateValue, len(keys))
	for i, k := range keys {
		out[i] = s.items[nameOf(namespace, k)].value(now)
	}
	return out
}

// put writes a value.
func (s *store) put(r backend.StatePut) (backend.StateResult, error) {
	now := s.clean()
	i := s.items[nameOf(r.Namespace, r.Key)]
	switch {
	case r.IfAbsent && i != nil:
		return backend.StateResult{Version: i.version}, nil
	case r.IfVersion != 0 && i == nil:
		return backend.StateResult{}, nil
	case r.IfVersion != 0 && i.version != r.IfVersion:
		return backend.StateResult{Version: i.version}, nil
	}
	next := &item{name: nameOf(r.Namespace, r.Key), data: r.Data, at: -1}
	grown := next.bytes()
	if i != nil {
		grown -= i.bytes()
	}
	if grown > 0 && s.used+grown > s.max {
		return backend.StateResult{}, backend.Errorf(backend.KindLimit, "the state store is full (options.max_bytes of plugin memory)")
	}
	if i != nil {
		s.unschedule(i)
	} else {
		s.index.add(next.name)
	}
	s.used += grown
	s.version++
	next.version = s.version
	s.items[next.name] = next
	if r.TTL > 0 {
		next.ends = now.Add(r.TTL)
		s.schedule(next)
	}
	s.tell(next.name, next.version)
	return backend.StateResult{Done: true, Version: next.version}, nil
}

// delete removes a key.
func (s *store) delete(r backend.StateDelete) backend.StateResult {
	s.clean()
	i := s.items[nameOf(r.Namespace, r.Key)]
	switch {
	case i == nil:
		return backend.StateResult{Done: r.IfVersion == 0}
	case r.IfVersion != 0 && i.version != r.IfVersion:
		return backend.StateResult{Version: i.version}
	}
	s.remove(i)
	return backend.StateResult{Done: true, Version: i.version}
}

// remove takes an item out.
func (s *store) remove(i *item) {
	s.unschedule(i)
	s.index.remove(i.name)
	delete(s.items, i.name)
	s.used -= i.bytes()
	s.tell(i.name, 0)
}

// list makes a page.
func (s *store) list(r backend.StateList) *backend.StatePage {
	now := s.clean()
	page, size := &backend.StatePage{}, 0
	prefix, after := nameOf(r.Namespace, r.Prefix), nameOf(r.Namespace, r.After)
	for name := range s.index.from(max(prefix, after)) {
		if !strings.HasPrefix(name, prefix) {
			break
		}
		if name == after {
			continue
		}
		key, i := name[len(r.Namespace)+1:], s.items[name]
		size += len(key) + len(i.data)
		if len(page.Entries) == r.Limit || len(page.Entries) > 0 && size > backend.MaxStateBytes {
			page.More = true
			break
		}
		page.Entries = append(page.Entries, backend.StateEntry{Key: key, StateValue: i.value(now)})
	}
	return page
}

// clean removes what has expired, and returns the time.
func (s *store) clean() time.Time {
	now := s.now()
	for len(s.expiry) > 0 && !s.expiry[0].ends.After(now) {
		s.remove(s.expiry[0])
	}
	return now
}

func (s *store) schedule(i *item) {
	heap.Push(&s.expiry, i)
	if i.at == 0 {
		select {
		case s.earlier <- struct{}{}:
		default: // it is told already
		}
	}
}

func (s *store) unschedule(i *item) {
	if i.at >= 0 {
		heap.Remove(&s.expiry, i.at)
	}
}

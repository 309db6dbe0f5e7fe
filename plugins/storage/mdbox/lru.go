package mdbox

import (
	"container/list"
	"errors"
	"sync"
	"time"
)

// resource is what an lru keeps: something that is opened once, used by several
// calls at a time, and closed when it was not used for the longest time.
type resource interface {
	Close() error
	MemoryBytes() int64 // roughly what it takes now
}

// lru keeps resources open up to a number and a sum of memory. What is in use
// is never closed, so both limits can be exceeded by what runs at the moment.
type lru[K comparable, V resource] struct {
	maxCount int
	maxBytes int64
	idle     time.Duration // what was not used for so long is closed; 0 = only the limits count
	emptied  func()        // called when nothing is left because of that; may be nil

	mu      sync.Mutex
	entries map[K]*lruEntry[K, V]
	unused  list.List // of *lruEntry, those that nobody uses, most recently used first
	bytes   int64     // sum of entry.bytes
	closed  bool
	timer   *time.Timer // of sweep, if
	armed   bool        // it runs
}

type lruEntry[K comparable, V resource] struct {
	key  K
	open sync.Once
	v    V
	err  error

	// Guarded by lru.mu.
	users   int
	used    time.Time     // the last end of a use
	elem    *list.Element // in lru.unused; nil while it is in use
	removed bool          // no longer in the lru
	bytes   int64
}

var errCacheClosed = errors.New("storage is closed")

func newLRU[K comparable, V resource](maxCount int, maxBytes int64) *lru[K, V] {
	return &lru[K, V]{maxCount: maxCount, maxBytes: maxBytes, entries: map[K]*lruEntry[K, V]{}}
}

// acquire returns the resource of key, opening it if necessary. Concurrent calls
// for one key open it once. The caller must call release, unless there is an error;
// nothing is kept of a failed open.
func (l *lru[K, V]) acquire(key K, open func() (V, error)) (v V, release func(), err error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return v, nil, errCacheClosed
	}
	e := l.entries[key]
	if e == nil {
		e = &lruEntry[K, V]{key: key}
		l.entries[key] = e
	} else if e.elem != nil {
		l.unused.Remove(e.elem)
		e.elem = nil
	}
	e.users++
	l.mu.Unlock()
	e.open.Do(func() { e.v, e.err = open() })
	if e.err != nil {
		l.release(e, true)
		return v, nil, e.err
	}
	return e.v, func() { l.release(e, false) }, nil
}

// release ends one use of e. drop also takes it out of the lru.
func (l *lru[K, V]) release(e *lruEntry[K, V], drop bool) {
	var bytes int64
	if e.err == nil {
		bytes = e.v.MemoryBytes()
	}
	l.mu.Lock()
	e.users--
	if !e.removed {
		l.bytes += bytes - e.bytes
		e.bytes = bytes
		if e.users == 0 {
			e.used = time.Now()
			e.elem = l.unused.PushFront(e)
			l.arm()
		}
	}
	if drop {
		l.remove(e)
	}
	var victims []*lruEntry[K, V]
	if e.removed && e.users == 0 {
		victims = append(victims, e)
	}
	victims = l.shrink(victims)
	l.mu.Unlock()
	closeAll(victims)
}

// forget takes the resource of key out of the lru: the next acquire opens it anew.
func (l *lru[K, V]) forget(key K) {
	var victims []*lruEntry[K, V]
	l.mu.Lock()
	if e := l.entries[key]; e != nil {
		l.remove(e)
		if e.users == 0 {
			victims = append(victims, e)
		}
	}
	l.mu.Unlock()
	closeAll(victims)
}

// remove takes e out of the lru. l.mu is held.
func (l *lru[K, V]) remove(e *lruEntry[K, V]) {
	if e.removed {
		return
	}
	e.removed = true
	if e.elem != nil {
		l.unused.Remove(e.elem)
		e.elem = nil
	}
	l.bytes -= e.bytes
	delete(l.entries, e.key)
}

// shrink removes unused entries, oldest first, until the limits are kept, and
// appends them to victims. l.mu is held.
func (l *lru[K, V]) shrink(victims []*lruEntry[K, V]) []*lruEntry[K, V] {
	for l.unused.Len() > 0 && (len(l.entries) > l.maxCount || l.bytes > l.maxBytes) {
		e := l.unused.Back().Value.(*lruEntry[K, V])
		l.remove(e)
		victims = append(victims, e)
	}
	return victims
}

// arm starts the timer for what was not used for the longest time, if it does not run. l.mu is held.
func (l *lru[K, V]) arm() {
	if l.idle <= 0 || l.armed || l.closed || l.unused.Len() == 0 {
		return
	}
	l.armed = true
	oldest := l.unused.Back().Value.(*lruEntry[K, V])
	l.timer = time.AfterFunc(time.Until(oldest.used.Add(l.idle)), l.sweep)
}

// sweep closes what was not used for idle.
func (l *lru[K, V]) sweep() {
	l.mu.Lock()
	l.armed = false
	var victims []*lruEntry[K, V]
	before := time.Now().Add(-l.idle)
	for l.unused.Len() > 0 {
		e := l.unused.Back().Value.(*lruEntry[K, V])
		if e.used.After(before) {
			break
		}
		l.remove(e)
		victims = append(victims, e)
	}
	l.arm()
	empty := len(l.entries) == 0
	if empty {
		l.entries = map[K]*lruEntry[K, V]{} // a map does not shrink
	}
	l.mu.Unlock()
	closeAll(victims)
	if empty && l.emptied != nil {
		l.emptied()
	}
}

// close forgets everything and refuses further use. What is in use is closed by its last release.
func (l *lru[K, V]) close() {
	l.mu.Lock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
	var victims []*lruEntry[K, V]
	for _, e := range l.entries {
		l.remove(e)
		if e.users == 0 {
			victims = append(victims, e)
		}
	}
	l.mu.Unlock()
	closeAll(victims)
}

// closeAll closes resources that were only read: an error of closing loses nothing.
func closeAll[K comparable, V resource](es []*lruEntry[K, V]) {
	for _, e := range es {
		if e.err == nil {
			_ = e.v.Close()
		}
	}
}

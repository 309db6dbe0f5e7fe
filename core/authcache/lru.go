package authcache

import (
	"container/list"
	"crypto/sha256"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// entry is what is known of a key.
type entry struct {
	key      string
	digest   [sha256.Size]byte
	at       time.Time         // when the plugin has said so
	identity *backend.Identity // nil: the password is wrong
	size     int64
}

// entryBytes is what an entry takes beside its strings: the entry, its element of the list, and its place in the map.
const entryBytes = 320

// weigh estimates the bytes of an entry.
func (e *entry) weigh() int64 {
	n := int64(entryBytes + len(e.key))
	if e.identity != nil {
		n += int64(len(e.identity.User.Name)) + 160
		for _, m := range [...]map[string]string{e.identity.User.Fields, e.identity.Fields} {
			for k, v := range m {
				n += int64(len(k)+len(v)) + 64
			}
		}
	}
	return n
}

// lru holds entries up to a number of bytes; the one that was used longest ago goes first.
type lru struct {
	max, bytes int64
	entries    map[string]*list.Element
	order      *list.List // of *entry, the last used one in front
}

func newLRU(size int64) lru {
	return lru{max: size, entries: map[string]*list.Element{}, order: list.New()}
}

// get returns the entry of a key, or nil.
func (l *lru) get(key string) *entry {
	el := l.entries[key]
	if el == nil {
		return nil
	}
	l.order.MoveToFront(el)
	return el.Value.(*entry)
}

// put takes an entry in place of the one of its key. One that is larger than all of the room is left out.
func (l *lru) put(e *entry) {
	l.remove(e.key)
	e.size = e.weigh()
	if e.size > l.max {
		return
	}
	for l.bytes+e.size > l.max {
		l.remove(l.order.Back().Value.(*entry).key)
	}
	l.entries[e.key] = l.order.PushFront(e)
	l.bytes += e.size
}

func (l *lru) remove(key string) {
	el := l.entries[key]
	if el == nil {
		return
	}
	l.bytes -= el.Value.(*entry).size
	l.order.Remove(el)
	delete(l.entries, key)
}

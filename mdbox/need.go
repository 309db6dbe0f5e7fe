package mdbox

import (
	"slices"
	"sync/atomic"

	"github.com/roostmail/roost/mdbox/cache"
)

// need is what a walk wants of each message, and what follows of that: worked out once, since most walks over a mailbox want what the one
// before did, often of a single message. It is immutable but for quiet.
type need struct {
	headers []string  // as the caller spelled them
	fields  *FieldSet // the same
	learned []string  // the fields of the cache for those that a learner may add
	quiet   atomic.Pointer[quiet]
}

// need returns that of a walk for headers.
func (b *Mailbox) need(headers []string) *need {
	n := b.lastNeed.Load()
	if n != nil && slices.Equal(n.headers, headers) {
		return n
	}
	n = &need{headers: slices.Clone(headers), fields: NewFieldSet(headers)}
	if w := b.store.options.Write; w != nil {
		for _, h := range headers {
			if name := allHeaders + h; w.Cache.Allows(name) {
				if _, err := cache.NewField(name); err == nil {
					n.learned = append(n.learned, name)
				}
			}
		}
	}
	b.lastNeed.Store(n)
	return n
}

// quiet are uses that changed nothing in a field table, as nearly all do.
type quiet struct {
	table []cache.Field // kept, so that no other table is at its address
	uses  []use
	from  uint32 // UNIX time of the check
	until uint32 // UNIX time: before that, time alone changes nothing either
}

// use is the use of a field.
type use struct {
	field string
	kept  bool // it was such that the field is to be kept for all messages (package cache: Usage)
}

// is reports whether q is about these uses, and holds for the table at the time now.
func (q *quiet) is(table []cache.Field, used []span, week cache.Week, now uint32) bool {
	if q == nil || now < q.from || now >= q.until || len(q.table) != len(table) || len(table) == 0 || &q.table[0] != &table[0] || len(q.uses) != len(used) {
		return false
	}
	for i := range used {
		if q.uses[i] != used[i].use(week) {
			return false
		}
	}
	return true
}

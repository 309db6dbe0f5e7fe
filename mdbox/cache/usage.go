package cache

import (
	"math"
	"strings"
)

// Usage is what a session with a mailbox has looked up so far, by which the decisions about fields are kept right
// (dovecot src/lib-index/mail-cache-decisions.c, mail_cache_decision_state_update): a client that reads a field of
// messages in another order than ascending, or of one older than a week, has no memory of its own, and the field becomes
// one for all messages. It costs some words per field, and is for one goroutine.
type Usage struct {
	fields map[string]*fieldUsage // by name in lower case
}

type fieldUsage struct {
	name      string
	highest   uint32 // UID, of this session
	lowest    uint32 // UID, since the last Changes
	unordered bool   // since the last Changes
	used      bool   // since the last Changes
}

// Lookup notes that a client has asked for a field of a message, whether it was cached or not. A lookup that was made
// for another reason does not count.
func (u *Usage) Lookup(field string, uid uint32) {
	f := u.fields[field]
	if f == nil {
		key := strings.ToLower(field)
		if f = u.fields[key]; f == nil {
			if u.fields == nil {
				u.fields = make(map[string]*fieldUsage)
			}
			f = &fieldUsage{name: field}
			u.fields[key] = f
		}
	}
	if uid < f.highest {
		f.unordered = true
	} else {
		f.highest = uid
	}
	if !f.used || uid < f.lowest {
		f.lowest = uid
	}
	f.used = true
}

// Change is a change of what a field table says of a field: the decision (0 = it stays), and the time of the last use.
type Change struct {
	Field    string
	Decision Decision
	LastUsed uint32 // UNIX time
}

// Changes returns what is to be changed in a file with the given fields by the lookups since the last call, at the
// UNIX time now. Mostly there is nothing: times of use are kept to the day. The result goes to Writer.Apply; if that
// can not be done, nothing is lost but a hint.
func (u *Usage) Changes(fields []Field, p *Policy, week Week, now uint32) []Change {
	var changes []Change
	for _, used := range u.fields {
		if !used.used {
			continue
		}
		kept := used.unordered || !week.New(used.lowest)
		used.used, used.unordered = false, false
		i := fieldIndex(fields, used.name)
		if i < 0 {
			continue
		}
		f := &fields[i]
		d := p.Decision(f)
		c := Change{Field: f.Name, LastUsed: f.LastUsed}
		old := int64(now)-int64(f.LastUsed) > day
		switch d {
		case DecisionNo | DecisionForced:
			continue
		case DecisionTemp:
			if kept {
				c.Decision = DecisionYes
			}
		case DecisionYes:
			old = old && kept // another use does not tell that the decision is right
		}
		if old {
			c.LastUsed = now
		}
		if c.Decision != 0 || c.LastUsed != f.LastUsed {
			changes = append(changes, c)
		}
	}
	return changes
}

// NextOld returns the UNIX time until which the passing of time alone changes nothing of what Changes finds in fields: when the next time
// of use is older than a day.
func NextOld(fields []Field, now uint32) uint32 {
	next := uint32(math.MaxUint32)
	for i := range fields {
		if t := int64(fields[i].LastUsed) + day + 1; t > int64(now) {
			next = uint32(min(t, int64(next)))
		}
	}
	return next
}

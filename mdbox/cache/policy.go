package cache

import (
	"fmt"
	"strings"
)

// Policy is what the configuration says about the fields to cache: Dovecot's mail_cache_fields, mail_always_cache_fields
// and mail_never_cache_fields (src/lib-storage/index/index-storage.c, index_cache_register_defaults). The zero value
// forces nothing and starts new files without any field that is cached.
type Policy struct {
	off      bool                // mail_never_cache_fields = *
	initial  []Field             // fields of a new file
	decision map[string]Decision // by name in lower case
}

// DefaultPolicy is that of Dovecot's default configuration.
func DefaultPolicy() Policy {
	p, err := NewPolicy("flags", "", "imap.envelope")
	if err != nil {
		panic(err) // the names are known
	}
	return p
}

// NewPolicy returns the policy of the three settings: names of fields, separated by blanks or commas. cached are
// fields that a new file caches for new messages, until clients need more or less; always and never are for all
// files and messages, and change nothing else. never = "*" turns caching off.
//
// An unknown name, or a header name that is none, is an error. Dovecot ignores it with a line in its log.
func NewPolicy(cached, always, never string) (Policy, error) {
	p := Policy{decision: make(map[string]Decision)}
	if never == "*" {
		p.off = true
		return p, nil
	}
	for i := range registered {
		p.initial = append(p.initial, registered[i].field())
	}
	for _, set := range []struct {
		setting, names string
		decision       Decision
	}{
		{"mail_cache_fields", cached, DecisionTemp},
		{"mail_always_cache_fields", always, DecisionYes | DecisionForced},
		{"mail_never_cache_fields", never, DecisionNo | DecisionForced},
	} {
		for _, name := range strings.FieldsFunc(set.names, func(r rune) bool { return r == ' ' || r == ',' }) {
			if err := p.set(name, set.decision); err != nil {
				return Policy{}, fmt.Errorf("%s: %w", set.setting, err)
			}
		}
	}
	return p, nil
}

func (p *Policy) set(name string, d Decision) error {
	f, err := NewField(name)
	if err != nil {
		return err
	}
	i := fieldIndex(p.initial, name)
	if i < 0 {
		i = len(p.initial)
		p.initial = append(p.initial, f)
	}
	if d&DecisionForced != 0 {
		p.decision[strings.ToLower(name)] = d
	} else if d <= p.initial[i].Decision {
		return nil // the same field twice
	}
	p.initial[i].Decision = d
	return nil
}

// Off reports whether the configuration wants no caching at all.
func (p *Policy) Off() bool { return p.off }

// Initial returns the fields of a new cache file. The caller may change them.
func (p *Policy) Initial() []Field {
	return append([]Field(nil), p.initial...)
}

// forced returns the decision that the configuration makes for a field.
func (p *Policy) forced(name string) (d Decision, ok bool) {
	if p.off {
		return DecisionNo | DecisionForced, true
	}
	d, ok = p.decision[strings.ToLower(name)]
	return d, ok
}

// Decision returns the decision about a field of a file: that of the configuration with DecisionForced, else what
// the file says.
func (p *Policy) Decision(f *Field) Decision {
	if d, ok := p.forced(f.Name); ok {
		return d
	}
	return f.Decision &^ DecisionForced
}

// Wants reports whether a field is to be stored for a message whatever is asked for: when it is saved, or when it is
// read for another reason. f is the field in the file.
func (p *Policy) Wants(f *Field, uid uint32, week Week) bool {
	switch p.Decision(f) &^ DecisionForced {
	case DecisionYes:
		return true
	case DecisionTemp:
		return week.New(uid)
	}
	return false
}

// Allows reports whether a field that a client asked for may be stored. It always is, unless the configuration forbids
// it: a decision of NO changes to TEMP by that (Writer.Append), and a TEMP for an old message to YES (Usage).
func (p *Policy) Allows(name string) bool {
	d, ok := p.forced(name)
	return !ok || d != DecisionNo|DecisionForced
}

// Week is day_first_uid[7] of the index header: the first UID of the messages of the last week; 0 = all are.
type Week uint32

// New reports whether a message is of the last week, for which DecisionTemp caches. UID 0 stands for one that is
// being saved.
func (w Week) New(uid uint32) bool { return uid == 0 || uid >= uint32(w) }

// fieldIndex returns the position of a field, or -1.
func fieldIndex(fields []Field, name string) int {
	for i := range fields {
		if strings.EqualFold(fields[i].Name, name) {
			return i
		}
	}
	return -1
}

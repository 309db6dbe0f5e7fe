package quota

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/roostmail/roost/mdbox/wildcard"
)

// Limits are what a mailbox, or all of them together, may have.
type Limits struct {
	Bytes    uint64 // 0 = any
	Messages uint64 // 0 = any
	// Ignored: the mailbox does not count, and there are no limits for it.
	Ignored bool
}

// Rules are the quota rules of a user.
type Rules struct {
	def   rule
	boxes []rule
}

// rule is one quota rule.
type rule struct {
	mask            string
	ignore          bool
	bytes, messages amount
}

// amount is a limit, or in the rule of a mailbox what is added to the default.
type amount struct {
	n       int64
	percent bool // n is percent of the default
}

// ParseRules reads quota_rule, quota_rule2 and so on. The error names the rule.
func ParseRules(list []string) (*Rules, error) {
	r := &Rules{}
	for _, s := range list {
		mask, limits, ok := strings.Cut(s, ":")
		if !ok {
			return nil, fmt.Errorf("quota rule %q: must be MAILBOX:LIMITS", s)
		}
		isDefault := mask == "*" || mask == "?"
		x := rule{mask: mask}
		if isDefault {
			x = r.def
		}
		if err := x.parse(limits, isDefault); err != nil {
			return nil, fmt.Errorf("quota rule %q: %w", s, err)
		}
		if isDefault {
			r.def = x
		} else {
			r.boxes = append(r.boxes, x)
		}
	}
	return r, nil
}

func (x *rule) parse(limits string, isDefault bool) error {
	if limits == "ignore" {
		x.ignore = true
		return nil
	}
	for limit := range strings.SplitSeq(limits, ":") {
		name, value, _ := strings.Cut(limit, "=")
		var err error
		switch name {
		case "storage":
			x.bytes, err = parseAmount(value, 1<<10, !isDefault)
		case "bytes":
			x.bytes, err = parseAmount(value, 1, !isDefault)
		case "messages":
			x.messages, err = parseAmount(value, 1, !isDefault)
		default:
			err = fmt.Errorf("unknown limit %q", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var units = map[string]int64{"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}

// parseAmount reads a number with the given unit, or one of its own.
func parseAmount(s string, unit int64, relative bool) (a amount, err error) {
	end := strings.LastIndexFunc(s, func(c rune) bool { return c >= '0' && c <= '9' }) + 1
	if a.n, err = strconv.ParseInt(s[:end], 10, 64); err != nil {
		return a, fmt.Errorf("limit %q is no number", s)
	}
	switch suffix := strings.ToLower(s[end:]); {
	case suffix == "%" && relative:
		a.percent = true
		return a, nil
	case suffix != "":
		if unit = units[suffix]; unit == 0 {
			return a, fmt.Errorf("limit %q has an unknown unit", s)
		}
	}
	if a.n > math.MaxInt64/unit || a.n < math.MinInt64/unit {
		return a, fmt.Errorf("limit %q is too large", s)
	}
	a.n *= unit
	if a.n < 0 && !relative {
		return a, fmt.Errorf("limit %q is negative", s)
	}
	return a, nil
}

// Default returns the limits of all mailboxes together.
func (r *Rules) Default() Limits {
	if r.def.ignore {
		return Limits{}
	}
	return Limits{Bytes: uint64(r.def.bytes.n), Messages: uint64(r.def.messages.n)}
}

// Of returns the limits that count for a message that is saved in a mailbox: on all mailboxes together.
func (r *Rules) Of(mailbox string) Limits {
	for _, x := range r.boxes {
		if !wildcard.Match(x.mask, mailbox) {
			continue
		}
		if x.ignore {
			return Limits{Ignored: true}
		}
		def := r.Default()
		return Limits{Bytes: x.bytes.added(def.Bytes), Messages: x.messages.added(def.Messages)}
	}
	return r.Default()
}

// added returns the limit of a mailbox; there is none if there is none by default.
func (a amount) added(def uint64) uint64 {
	if def == 0 {
		return 0
	}
	n := a.n
	if a.percent {
		n = int64(float64(def) / 100 * float64(a.n))
	}
	switch {
	case n < 0 && uint64(-n) >= def:
		return 1 // nothing fits
	case n < 0:
		return def - uint64(-n)
	case uint64(n) > math.MaxInt64-min(def, math.MaxInt64):
		return math.MaxInt64
	}
	return def + uint64(n)
}

// Allows reports whether there is room for messages of together size bytes beside what is there.
func (l Limits) Allows(bytes, messages, size, count uint64) bool {
	if l.Ignored {
		return true
	}
	fits := func(limit, used, more uint64) bool { return limit == 0 || more <= limit && used <= limit-more }
	return fits(l.Bytes, bytes, size) && fits(l.Messages, messages, count)
}

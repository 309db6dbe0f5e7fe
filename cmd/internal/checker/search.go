package checker

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// searchCommand is a search whose result the model knows.
type searchCommand struct {
	key    searchKey
	result []string // RETURN options, nil: the plain form
}

// searchKey tells whether a message is to be found. sure is false if the client can not know.
type searchKey func(msg *message) (match, sure bool)

// found takes a SEARCH or ESEARCH response in.
func (m *model) found(word, rest string) error {
	c := m.current()
	switch {
	case c == nil || c.name != "SEARCH":
		return fmt.Errorf("%s that nobody has asked for", word)
	case c.answer != "":
		return fmt.Errorf("a second %s", word)
	case (word == "ESEARCH") != (c.search.result != nil || m.rev2):
		return fmt.Errorf("%s as the answer to %s", word, c.text)
	}
	c.answer = word + " " + rest
	return nil
}

// searched compares what was found with the model.
func (m *model) searched(c *command) error {
	saves := slices.Contains(c.search.result, "SAVE")
	if saves {
		m.saved = nil
	}
	onlySaved := len(c.search.result) == 1 && c.search.result[0] == "SAVE"
	if c.answer == "" {
		if onlySaved { // RFC 5182 §2.1
			return nil
		}
		return fmt.Errorf("SEARCH without its result")
	}
	r, err := parseFound(c)
	if err != nil {
		return err
	}
	var sure []uint32 // what must have been found
	var perhaps []uint32
	if len(m.msgs) > 0 && m.notify && !slices.Contains(c.before, m.msgs[len(m.msgs)-1]) {
		return nil // new messages were told of before it, or after it
	}
	for i, msg := range c.before {
		n := uint32(i + 1)
		if c.uid {
			if n = msg.uid; n == 0 {
				return nil // nothing can be said
			}
		}
		match, known := c.search.key(msg)
		switch {
		case !known || msg.gone || msg.tick > c.since:
			perhaps = append(perhaps, n)
		case match:
			sure = append(sure, n)
			if saves {
				m.saved = append(m.saved, msg)
			}
		}
	}
	if err := r.judge(sure, perhaps, len(c.before), c.uid); err != nil {
		if c.uid {
			return err
		}
		return m.later(c, r, err)
	}
	return nil
}

// later puts a judgement off until the next NOOP: what a search has found may be of a state that can not be told, since an EXPUNGE comes
// before it. Then the messages that were found wrongly, or not, must have changed.
func (m *model) later(c *command, r *searchResult, err error) error {
	if r.all && r.order(len(c.before)) != nil {
		return err
	}
	if !r.all { // nobody knows which messages these are
		m.mustChange = append(m.mustChange, change{nil, m.tick, err})
		return nil
	}
	for i, msg := range c.before {
		match, sure := c.search.key(msg)
		if sure && !msg.gone && msg.tick <= c.since && match != slices.Contains(r.numbers, uint32(i+1)) {
			m.mustChange = append(m.mustChange, change{msg, m.tick, err})
		}
	}
	return nil
}

// change is a message that a search has seen in a state which the client was not told of yet.
type change struct {
	msg  *message // nil: any
	tick int
	err  error // what is wrong if it does not change
}

// searchResult is a parsed answer.
type searchResult struct {
	numbers              []uint32
	all                  bool // numbers is told
	min, max             uint32
	count                uint32
	hasMin, hasMax, hasN bool
}

func parseFound(c *command) (*searchResult, error) {
	word, rest, _ := strings.Cut(c.answer, " ")
	v, err := rig.Parse([]byte(rest))
	if err != nil {
		return nil, err
	}
	r := &searchResult{}
	if word == "SEARCH" {
		r.all = true
		for _, e := range v {
			if e.List != nil { // MODSEQ
				continue
			}
			n, err := strconv.ParseUint(e.Str, 10, 32)
			if err != nil {
				return nil, err
			}
			r.numbers = append(r.numbers, uint32(n))
		}
		return r, nil
	}
	if len(v) > 0 && len(v[0].List) == 2 {
		if tag := v[0].List[1].Str; tag != c.tag {
			return nil, fmt.Errorf("ESEARCH of %s, not %s", tag, c.tag)
		}
		v = v[1:]
	}
	uid := len(v) > 0 && v[0].Str == "UID"
	if uid {
		v = v[1:]
	}
	if uid != c.uid {
		return nil, fmt.Errorf("ESEARCH with UID %v, asked for %v", uid, c.uid)
	}
	r.all = c.search.result == nil || slices.Contains(c.search.result, "ALL")
	for i := 0; i+1 < len(v); i += 2 {
		switch v[i].Str {
		case "ALL":
			r.numbers, err = numbers(v[i+1].Str)
		case "MIN":
			r.hasMin, r.min = true, number(v[i+1].Str)
		case "MAX":
			r.hasMax, r.max = true, number(v[i+1].Str)
		case "COUNT":
			r.hasN, r.count = true, number(v[i+1].Str)
		case "MODSEQ":
		default:
			err = fmt.Errorf("ESEARCH with %s", v[i].Str)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, want := range c.search.result {
		if want == "COUNT" && !r.hasN {
			return nil, fmt.Errorf("ESEARCH without COUNT")
		}
	}
	return r, nil
}

func number(s string) uint32 {
	n, _ := strconv.ParseUint(s, 10, 32)
	return uint32(n)
}

// order wants the numbers to ascend, up to most.
func (r *searchResult) order(most int) error {
	last := uint32(0)
	for _, n := range r.numbers {
		switch {
		case int(n) > most:
			return fmt.Errorf("SEARCH has found number %d of %d", n, most)
		case n <= last:
			return fmt.Errorf("SEARCH has found %d after %d", n, last)
		}
		last = n
	}
	return nil
}

// judge compares the result with what must have been found, and what may have been.
func (r *searchResult) judge(sure, perhaps []uint32, most int, uid bool) error {
	if r.all {
		if uid {
			most = math.MaxUint32
		}
		if err := r.order(most); err != nil {
			return err
		}
		for _, n := range r.numbers {
			if !slices.Contains(sure, n) && !slices.Contains(perhaps, n) {
				return fmt.Errorf("SEARCH has found %d, which does not match", n)
			}
		}
		for _, n := range sure {
			if !slices.Contains(r.numbers, n) {
				return fmt.Errorf("SEARCH has not found %d, which matches", n)
			}
		}
		if r.hasN && int(r.count) != len(r.numbers) {
			return fmt.Errorf("COUNT %d of %d messages", r.count, len(r.numbers))
		}
	}
	switch {
	case r.hasN && (int(r.count) < len(sure) || int(r.count) > len(sure)+len(perhaps)):
		return fmt.Errorf("COUNT %d, want %d to %d", r.count, len(sure), len(sure)+len(perhaps))
	case len(perhaps) > 0 || len(sure) == 0:
		return nil
	case r.hasMin && r.min != sure[0]:
		return fmt.Errorf("MIN %d, want %d", r.min, sure[0])
	case r.hasMax && r.max != sure[len(sure)-1]:
		return fmt.Errorf("MAX %d, want %d", r.max, sure[len(sure)-1])
	}
	return nil
}

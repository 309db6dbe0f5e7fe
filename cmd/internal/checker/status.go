package checker

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// condstoreEnabling are the commands that turn CONDSTORE on (RFC 7162 §3.1).
var condstoreEnabling = regexp.MustCompile(`MODSEQ|CHANGEDSINCE|CONDSTORE`)

// cutCode cuts "[CODE rest] text" into the code with its rest, and the text.
func cutCode(s string) (code, text string) {
	if !strings.HasPrefix(s, "[") {
		return "", s
	}
	code, text, _ = strings.Cut(s[1:], "]")
	return code, strings.TrimPrefix(text, " ")
}

// status takes an untagged OK, NO, BAD or BYE in.
func (m *model) status(word, rest string) error {
	code, _ := cutCode(rest)
	if word == "BYE" {
		m.bye = rest
		return nil
	}
	c := m.current()
	if c != nil && code != "" {
		c.codes = append(c.codes, code)
	}
	name, arg, _ := strings.Cut(code, " ")
	if c != nil && c.seen != nil {
		c.seen[name] = true
	}
	if name == "CLOSED" {
		if c == nil || c.seen == nil || m.mailbox == "" {
			return fmt.Errorf("CLOSED without SELECT of another mailbox (RFC 7162 §3.2.11)")
		}
		m.open(c)
		return nil
	}
	n, err := strconv.ParseUint(arg, 10, 64)
	if err != nil {
		return nil
	}
	switch name {
	case "HIGHESTMODSEQ":
		m.cmdHighest = n
		if m.selecting() && n < c.floor {
			return fmt.Errorf("HIGHESTMODSEQ %d, and there was a modseq %d before", n, c.floor)
		}
	case "UIDNEXT":
		if m.selecting() {
			m.uidNext = uint32(n)
		}
	case "UIDVALIDITY":
		return m.valid(uint32(n))
	}
	return nil
}

// valid notes UIDVALIDITY, which stays what it is.
func (m *model) valid(n uint32) error {
	if m.uidValidity != 0 && m.uidValidity != n {
		return fmt.Errorf("UIDVALIDITY %d, after %d", n, m.uidValidity)
	}
	m.uidValidity = n
	return nil
}

// tagged takes a tagged answer in.
func (m *model) tagged(text string) error {
	c := m.current()
	if c == nil {
		return fmt.Errorf("tagged answer, and no command is in progress")
	}
	tag, rest, _ := strings.Cut(text, " ")
	if tag != c.tag {
		return fmt.Errorf("answer to %s, and %s was sent before", tag, c.tag)
	}
	c.final = rest
	word, rest, _ := strings.Cut(rest, " ")
	code, _ := cutCode(rest)
	if code != "" {
		c.codes = append(c.codes, code)
	}
	if name, arg, _ := strings.Cut(code, " "); name == "HIGHESTMODSEQ" {
		m.cmdHighest, _ = strconv.ParseUint(arg, 10, 64)
	}
	err := m.outcome(c, word)
	m.condstore = m.condstore || word == "OK" && condstoreEnabling.MatchString(c.text)
	m.position()
	m.queue, m.idling = m.queue[1:], false
	m.begin()
	return err
}

// position moves on what the client may come back with: HIGHESTMODSEQ if it was told, else the highest MODSEQ (RFC 7162 §6).
func (m *model) position() {
	switch {
	case m.cmdHighest != 0:
		m.highest = m.cmdHighest
	case m.cmdMax > m.highest:
		m.highest = m.cmdMax
	}
	m.world.raise(max(m.cmdHighest, m.cmdMax))
	m.cmdHighest, m.cmdMax = 0, 0
}

// selected judges the answer to SELECT and EXAMINE.
func (m *model) selected(c *command, word string) error {
	if word != "OK" {
		m.forget()
		return nil
	}
	for _, want := range []string{"FLAGS", "EXISTS", "PERMANENTFLAGS", "UIDVALIDITY", "UIDNEXT", "HIGHESTMODSEQ"} { // RFC 3501 §6.3.1, RFC 7162 §3.1.2.1
		if !c.seen[want] {
			return fmt.Errorf("%s without %s", c.name, want)
		}
	}
	switch {
	case !m.rev2 && !c.seen["RECENT"]:
		return fmt.Errorf("%s without RECENT", c.name)
	case m.rev2 && !c.seen["LIST"]:
		return fmt.Errorf("%s without LIST (RFC 9051 §6.3.2)", c.name)
	case m.readOnly != slices.Contains(c.codes, "READ-ONLY"), m.readOnly == slices.Contains(c.codes, "READ-WRITE"):
		return fmt.Errorf("%s is answered with %v", c.name, c.codes)
	}
	if c.resync != nil {
		return m.resynced(c)
	}
	return nil
}

// resynced puts together what the client still knew, and what it was told (RFC 7162 §3.2.5.1).
func (m *model) resynced(c *command) error {
	known := maps.Clone(c.resync)
	for _, msg := range m.msgs {
		if msg.uid != 0 {
			known[msg.uid] = *msg
		}
	}
	if len(known) != len(m.msgs) {
		if !c.complete && len(known) < len(m.msgs) {
			return nil // nothing tells where the others are
		}
		return fmt.Errorf("after the resynchronisation the client knows of %d messages, EXISTS is %d", len(known), len(m.msgs))
	}
	if m.uidOnly { // what was told is not where it belongs yet
		told := slices.Clone(m.msgs)
		for i, uid := range slices.Sorted(maps.Keys(known)) {
			m.msgs[i] = &message{}
			if at := slices.IndexFunc(told, func(msg *message) bool { return msg.uid == uid }); at >= 0 {
				m.msgs[i] = told[at]
			}
		}
	}
	for i, uid := range slices.Sorted(maps.Keys(known)) {
		if msg := m.msgs[i]; msg.uid != 0 && msg.uid != uid {
			return fmt.Errorf("after the resynchronisation UID %d is message %d, and was told to be UID %d", uid, i+1, msg.uid)
		} else if msg.uid == 0 {
			old := known[uid]
			*msg = message{uid: uid, flags: old.flags, known: old.known, modseq: old.modseq, sure: old.sure, tick: m.tick}
		}
	}
	return nil
}

// remembered returns what the client may come back with, and whether that is all that there is.
func (m *model) remembered() (known map[uint32]message, complete bool) {
	known, complete = map[uint32]message{}, true
	for _, msg := range m.msgs {
		if msg.uid == 0 {
			complete = false
			continue
		}
		known[msg.uid] = *msg
	}
	return known, complete
}

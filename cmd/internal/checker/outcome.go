package checker

import (
	"fmt"
	"slices"
	"strings"
)

// outcome judges the complete answer to a command.
func (m *model) outcome(c *command, word string) error {
	if c.name == "SELECT" || c.name == "EXAMINE" {
		return m.selected(c, word)
	}
	if word != "OK" {
		if c.name == "SEARCH" {
			m.saved = nil // RFC 5182 §2.1
		}
		return nil
	}
	switch c.name {
	case "FETCH":
		return m.fetched(c)
	case "STORE":
		return m.didStore(c)
	case "SEARCH":
		return m.searched(c)
	case "NOOP", "CHECK":
		return m.rested()
	case "EXPUNGE":
		return m.expunged(c)
	case "COPY", "MOVE":
		return m.copied(c)
	case "CLOSE", "UNSELECT":
		m.forget()
	}
	return nil
}

// fetched wants all items of all targets (RFC 3501 §6.4.5). Of those that are gone, the client has to be told that later.
func (m *model) fetched(c *command) error {
	for _, was := range c.newModSeq {
		if i := m.indexOf(was.uid); i >= 0 && m.msgs[i].modseq <= was.modseq {
			m.mustGo = append(m.mustGo, m.msgs[i]) // then somebody has expunged it before it became \Seen
		}
	}
	if c.some {
		return nil
	}
	for _, msg := range c.targets {
		if msg.gone {
			continue
		}
		for _, item := range c.items {
			if slices.ContainsFunc(c.got[msg], func(name string) bool { return strings.HasPrefix(name, item) }) {
				continue
			}
			m.mustGo = append(m.mustGo, msg)
			break
		}
	}
	return nil
}

// rested is called when NOOP has told everything.
func (m *model) rested() error {
	must, changes := m.mustGo, m.mustChange
	m.mustGo, m.mustChange = nil, nil
	for _, c := range changes {
		if c.msg == nil && m.changed <= c.tick || c.msg != nil && !c.msg.gone && c.msg.tick <= c.tick {
			return fmt.Errorf("%w, and nothing has changed after NOOP", c.err)
		}
	}
	for _, msg := range must {
		if !msg.gone {
			return fmt.Errorf("UID %d is still there after NOOP, and an earlier answer did not have it", msg.uid)
		}
	}
	return nil
}

// didStore works out what .SILENT does not tell, and wants FETCH responses for what is told (RFC 3501 §6.4.6).
func (m *model) didStore(c *command) error {
	modified, err := m.codeSet(c, "MODIFIED")
	if err != nil {
		return err
	}
	for _, msg := range c.targets {
		i := slices.Index(m.msgs, msg)
		if i < 0 {
			continue
		}
		number := uint32(i + 1)
		if c.uid {
			number = msg.uid
		}
		told := slices.Contains(c.got[msg], "FLAGS")
		switch {
		case number == 0 && modified != nil: // it may be one of them
			msg.known = msg.known && (told || !c.store.silent)
		case slices.Contains(modified, number):
			if !c.store.conditional {
				return fmt.Errorf("MODIFIED without UNCHANGEDSINCE (RFC 7162 §3.1.3)")
			}
		case told && c.store.silent && m.notify: // before it, or after it
			msg.known = false
		case told:
		case !c.store.silent:
			m.mustGo = append(m.mustGo, msg)
		case msg.known || c.store.mode == storeReplace:
			msg.flags, msg.known = stored(msg.flags, c.store.mode, c.store.flags), true
			msg.sure, msg.tick = false, m.tick
		}
	}
	return nil
}

// codeSet returns the set of a response code, nil = there is none.
func (m *model) codeSet(c *command, name string) ([]uint32, error) {
	for _, code := range c.codes {
		if set, ok := strings.CutPrefix(code, name+" "); ok {
			return numbers(set)
		}
	}
	return nil, nil
}

// expunged wants that to be gone which the client knew to be \Deleted (RFC 3501 §6.4.3).
func (m *model) expunged(c *command) error {
	for _, msg := range c.marked {
		if !msg.gone && msg.known && msg.has(`\Deleted`) && msg.tick <= c.since {
			return fmt.Errorf(`UID %d was \Deleted, and is still there`, msg.uid)
		}
	}
	return nil
}

// copied judges COPYUID, and wants what was moved to be gone (RFC 4315 §3, RFC 6851 §3.3).
func (m *model) copied(c *command) error {
	for _, code := range c.codes {
		f := strings.Fields(code)
		if len(f) != 4 || f[0] != "COPYUID" {
			continue
		}
		from, err := numbers(f[2])
		if err != nil {
			return err
		}
		to, err := numbers(f[3])
		if err != nil {
			return err
		}
		if len(from) != len(to) {
			return fmt.Errorf("COPYUID of %d messages to %d", len(from), len(to))
		}
		for _, uid := range from {
			i := slices.IndexFunc(c.targets, func(msg *message) bool { return msg.uid == uid || msg.uid == 0 })
			if i < 0 && !c.any && !m.notify {
				return fmt.Errorf("COPYUID of UID %d, which nobody has asked for", uid)
			}
			if c.name == "MOVE" && m.indexOf(uid) >= 0 {
				return fmt.Errorf("UID %d was moved, and is still there", uid)
			}
		}
	}
	return nil
}

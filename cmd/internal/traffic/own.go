package traffic

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var appendUID = regexp.MustCompile(`\[APPENDUID \d+ (\d+)\]`)

// stepOwn does something in the client's own mailbox, whose state must come out exactly as it was left.
func (c *client) stepOwn() error {
	alive := slices.Sorted(maps.Keys(c.own))
	alive = slices.DeleteFunc(alive, func(t string) bool { return c.own[t].expunged || c.own[t].unknown })
	n := c.rng.IntN(10)
	if len(alive) < 3 || n < 2 && len(alive) < 60 {
		return c.appendOwn()
	}
	m := c.own[alive[c.rng.IntN(len(alive))]]
	if n < 8 {
		return c.storeOwn(m)
	}
	return c.expungeOwn(m)
}

func (c *client) appendOwn() error {
	token := c.token("own")
	msg, flags := newMessage(c.rng, token), pickFlags(c.rng)
	m := &ownMessage{unknown: true, flags: map[string]bool{}}
	c.own[token] = m
	for _, f := range flags {
		m.flags[f] = true
	}
	_, final, err := c.run("APPEND %s (%s) {%d+}\r\n%s", c.ownName, strings.Join(flags, " "), len(msg), msg)
	if err != nil {
		return err
	}
	match := appendUID.FindStringSubmatch(final)
	if match == nil {
		c.ledger.problem("%s: APPEND without APPENDUID: %s", c.id, final)
		return nil
	}
	uid, _ := strconv.ParseUint(match[1], 10, 32)
	m.uid, m.unknown = uint32(uid), false
	return nil
}

func (c *client) storeOwn(m *ownMessage) error {
	flags := pickFlags(c.rng)
	mode := []string{"+FLAGS", "-FLAGS", "FLAGS"}[c.rng.IntN(3)]
	m.unknown = true
	if _, err := c.cmd("UID STORE %d %s.SILENT (%s)", m.uid, mode, strings.Join(flags, " ")); err != nil {
		return err
	}
	m.unknown = false
	if mode == "FLAGS" {
		clear(m.flags)
	}
	for _, f := range flags {
		if mode == "-FLAGS" {
			delete(m.flags, f)
		} else {
			m.flags[f] = true
		}
	}
	return nil
}

func (c *client) expungeOwn(m *ownMessage) error {
	m.unknown = true
	for _, command := range []string{fmt.Sprintf(`UID STORE %d +FLAGS.SILENT (\Deleted)`, m.uid), fmt.Sprintf("UID EXPUNGE %d", m.uid)} {
		if _, err := c.cmd("%s", command); err != nil {
			return err
		}
	}
	m.unknown, m.expunged = false, true
	return nil
}

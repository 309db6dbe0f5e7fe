package checker

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// step sends one random command, or some at once, and waits for the answers.
func (c *client) step() error {
	if c.conn == nil {
		return c.connect()
	}
	if c.m.mailbox == "" {
		return c.choose()
	}
	switch n := c.rng.IntN(100); {
	case n < 8 && c.server.Judged: // Dovecot answers out of order
		return c.pipeline()
	case n < 14:
		return c.idle()
	case n < 18:
		return c.leave()
	case n < 20:
		c.keep()
		c.hangUp()
		return nil
	}
	_, err := c.run(c.command(false))
	return err
}

// pipeline sends commands that may be sent at once (RFC 3501 §5.5): none of them names by a number what an EXPUNGE of an earlier
// one may move.
func (c *client) pipeline() error {
	var cmds []*command
	for range 2 + c.rng.IntN(5) {
		cmd := c.command(true)
		cmds = append(cmds, cmd)
		if err := c.send(cmd); err != nil {
			return err
		}
	}
	return c.wait(func() bool { return cmds[len(cmds)-1].final != "" }, cmds...)
}

// leave closes the mailbox, and comes back to it.
func (c *client) leave() error {
	// What is not known of new messages can not be kept.
	if c.m.qresync && slices.ContainsFunc(c.m.msgs, func(msg *message) bool { return msg.uid == 0 }) {
		if _, err := c.run(c.everything("FLAGS MODSEQ")); err != nil {
			return err
		}
	}
	c.keep()
	name := "UNSELECT"
	switch c.rng.IntN(5) {
	case 0:
		name, c.kept = "CLOSE", nil // whose expunges nobody tells (RFC 7162 §3.2.8)
	case 1:
		return c.choose() // another SELECT closes it, too
	}
	if _, err := c.run(&command{name: name, text: name}); err != nil {
		return err
	}
	return c.choose()
}

// everything is a FETCH of all messages.
func (c *client) everything(items string) *command {
	cmd := &command{name: "FETCH", uid: true, any: true, text: "UID FETCH 1:* (" + items + ")", targets: slices.Clone(c.m.msgs), items: append([]string{"UID"}, strings.Fields(items)...)}
	if c.m.uidOnly {
		cmd.items = cmd.items[1:]
	}
	return cmd
}

// most is how many messages the mailbox has before more are expunged than appended.
const most = 60

// command makes a random command. safe: it may be sent before the one before it is answered.
func (c *client) command(safe bool) *command {
	grow := len(c.m.msgs) < most/2 || len(c.m.msgs) < most && c.rng.IntN(2) == 0
	for {
		switch n := c.rng.IntN(100); {
		case n < 24:
			return c.fetch(safe)
		case n < 44 && c.writes():
			return c.store(safe)
		case n < 56:
			return c.find(safe)
		case n < 66 && grow:
			return c.append()
		case n < 71 && c.writes() && (grow || c.rng.IntN(2) == 0) && len(c.m.msgs) > 0:
			return c.copy("COPY", safe)
		case n < 75 && c.writes() && len(c.m.msgs) > 0 && !safe:
			return c.copy("MOVE", safe)
		case n < 82 && c.writes() && !safe:
			return c.expunge()
		case n < 88:
			return &command{name: "NOOP", text: "NOOP"}
		case n < 90:
			return &command{name: "CHECK", text: "CHECK"}
		case n < 92:
			return &command{name: "STATUS", text: "STATUS Other (MESSAGES UIDNEXT UNSEEN)"}
		case n < 94:
			return &command{name: "LIST", text: `LIST "" *`}
		}
	}
}

func (c *client) writes() bool { return !c.m.readOnly }

// byUID decides which form a command has: that with UIDs where numbers may be moved, or are not allowed.
func (c *client) byUID(safe bool) bool {
	return c.m.uidOnly || c.m.notify || safe || c.rng.IntN(2) == 0
}

func verb(name string, uid bool) string {
	if uid {
		return "UID " + name
	}
	return name
}

// set chooses messages, and returns how a command names them. There must be some for the form without UIDs.
// In a pipeline there is no "*": who knows what it is by then.
func (c *client) set(uid, safe bool) (string, []*message) {
	msgs := c.m.msgs
	if !safe && c.rng.IntN(6) == 0 && len(msgs) > 0 {
		return "1:*", slices.Clone(msgs)
	}
	var parts []string
	var targets []*message
	for range 1 + c.rng.IntN(3) {
		if len(msgs) == 0 {
			break
		}
		first := c.rng.IntN(len(msgs))
		last := min(len(msgs)-1, first+c.rng.IntN(1+c.rng.IntN(8)))
		if !uid {
			parts = append(parts, fmt.Sprintf("%d:%d", first+1, last+1))
			targets = append(targets, msgs[first:last+1]...)
			continue
		}
		for _, msg := range msgs[first : last+1] {
			if msg.uid != 0 {
				parts = append(parts, strconv.Itoa(int(msg.uid)))
				targets = append(targets, msg)
			}
		}
	}
	if uid && (len(parts) == 0 || c.rng.IntN(8) == 0) {
		parts = append(parts, "4000000000")
	}
	slices.SortFunc(targets, func(a, b *message) int { return slices.Index(msgs, a) - slices.Index(msgs, b) })
	return strings.Join(parts, ","), slices.Compact(targets)
}

var fetchItems = [][]string{{"FLAGS"}, {"FLAGS", "UID"}, {"UID", "FLAGS", "RFC822.SIZE"}, {"FLAGS", "UID", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]"}, {"UID", "INTERNALDATE", "ENVELOPE"},
	{"UID", "BODY[]"}, {"UID", "BODYSTRUCTURE"}, {"UID", "MODSEQ"}, {"FLAGS", "UID", "MODSEQ"}}

func (c *client) fetch(safe bool) *command {
	uid := c.byUID(safe)
	if len(c.m.msgs) == 0 && !uid {
		return &command{name: "NOOP", text: "NOOP"}
	}
	items := fetchItems[c.rng.IntN(len(fetchItems))]
	if slices.Contains(items, "MODSEQ") && !c.m.condstore && c.rng.IntN(8) > 0 {
		items = fetchItems[1]
	}
	set, targets := c.set(uid, safe)
	cmd := &command{name: "FETCH", uid: uid, targets: targets, any: set == "1:*", text: verb("FETCH", uid) + " " + set + " (" + strings.Join(items, " ") + ")"}
	for _, item := range items {
		cmd.items = append(cmd.items, strings.ReplaceAll(item, ".PEEK", ""))
	}
	if c.m.uidOnly {
		cmd.items = slices.DeleteFunc(cmd.items, func(item string) bool { return item == "UID" })
	}
	switch {
	case c.m.condstore && c.rng.IntN(4) == 0:
		cmd.some = true
		cmd.text += fmt.Sprintf(" (CHANGEDSINCE %d", max(1, int64(c.m.highest)-c.rng.Int64N(30)))
		if uid && c.m.qresync && c.rng.IntN(2) == 0 {
			cmd.text += " VANISHED"
			cmd.vanishedOld = true
		}
		cmd.text += ")"
	case uid && !safe && len(c.m.saved) > 0 && c.rng.IntN(4) == 0:
		cmd.any = true
		cmd.targets = slices.DeleteFunc(slices.Clone(c.m.saved), func(msg *message) bool { return msg.gone })
		cmd.text = strings.Replace(cmd.text, set, "$", 1)
	}
	return cmd
}

var storeFlags = []string{`\Seen`, `\Flagged`, `\Answered`, `\Draft`, "$Forwarded", "kw1", "kw2"}

func (c *client) store(safe bool) *command {
	uid := c.byUID(safe)
	if len(c.m.msgs) == 0 && !uid {
		return &command{name: "NOOP", text: "NOOP"}
	}
	s := &storeCommand{mode: storeMode(c.rng.IntN(3)), silent: c.rng.IntN(3) == 0}
	for _, f := range storeFlags {
		if c.rng.IntN(4) == 0 {
			s.flags = append(s.flags, f)
		}
	}
	if c.rng.IntN(5) == 0 {
		s.flags = append(s.flags, `\Deleted`)
	}
	set, targets := c.set(uid, safe)
	text := verb("STORE", uid) + " " + set
	if (c.m.condstore || c.rng.IntN(40) == 0) && c.rng.IntN(3) == 0 {
		s.conditional = true
		text += fmt.Sprintf(" (UNCHANGEDSINCE %d)", max(1, int64(c.m.highest)-c.rng.Int64N(10)))
	}
	text += []string{" FLAGS", " +FLAGS", " -FLAGS"}[s.mode]
	if s.silent {
		text += ".SILENT"
	}
	return &command{name: "STORE", uid: uid, targets: targets, store: s, text: text + " (" + strings.Join(s.flags, " ") + ")"}
}

func (c *client) append() *command {
	n := 1
	if c.rng.IntN(4) == 0 {
		n += c.rng.IntN(3)
	}
	text := "APPEND " + []string{"INBOX", "INBOX", "INBOX", "Other"}[c.rng.IntN(4)]
	for range n {
		c.sent++
		msg := fmt.Sprintf("From: %s@example.org\r\nSubject: %s %d\r\n\r\n%s\r\n", c.name, c.name, c.sent, strings.Repeat("x", c.rng.IntN(300)))
		flags := ""
		if c.rng.IntN(2) == 0 {
			flags = "(" + storeFlags[c.rng.IntN(len(storeFlags))] + ") "
		}
		text += fmt.Sprintf(" %s{%d+}\r\n%s", flags, len(msg), msg)
	}
	return &command{name: "APPEND", text: text}
}

func (c *client) copy(name string, safe bool) *command {
	uid := c.byUID(safe)
	set, targets := c.set(uid, safe)
	to := "Other"
	if name == "COPY" && c.rng.IntN(2) == 0 {
		to = "INBOX"
	}
	return &command{name: name, uid: uid, targets: targets, text: verb(name, uid) + " " + set + " " + to}
}

func (c *client) expunge() *command {
	uid := c.m.uidOnly || c.rng.IntN(3) == 0
	cmd := &command{name: "EXPUNGE", text: "EXPUNGE", uid: uid, targets: slices.Clone(c.m.msgs)}
	if uid {
		var set string
		set, cmd.targets = c.set(true, false)
		cmd.text = "UID EXPUNGE " + set
	}
	cmd.marked = slices.DeleteFunc(slices.Clone(cmd.targets), func(msg *message) bool { return !msg.known || !msg.has(`\Deleted`) })
	return cmd
}

var searchResults = [][]string{nil, nil, {"ALL"}, {"COUNT"}, {"MIN", "MAX"}, {"ALL", "COUNT", "MIN", "MAX"}, {"SAVE"}, {"SAVE", "ALL"}}

func (c *client) find(safe bool) *command {
	uid := c.byUID(safe)
	s := &searchCommand{result: searchResults[c.rng.IntN(len(searchResults))]}
	text := verb("SEARCH", uid)
	if s.result != nil {
		text += " RETURN (" + strings.Join(s.result, " ") + ")"
	}
	key, match := c.key(0)
	s.key = match
	return &command{name: "SEARCH", uid: uid, search: s, text: text + " " + key}
}

// key makes a search key.
func (c *client) key(depth int) (string, searchKey) {
	flag := func(name string) searchKey {
		return func(msg *message) (bool, bool) { return msg.has(name), msg.known }
	}
	n := c.rng.IntN(10)
	if depth > 2 {
		n = c.rng.IntN(6)
	}
	switch n {
	case 0:
		return "ALL", func(*message) (bool, bool) { return true, true }
	case 1:
		return "SEEN", flag(`\Seen`)
	case 2:
		return "DELETED", flag(`\Deleted`)
	case 3:
		return "KEYWORD kw1", flag("kw1")
	case 4:
		return "KEYWORD $Forwarded", flag("$Forwarded")
	case 5:
		return "FLAGGED", flag(`\Flagged`)
	case 6:
		set, targets := c.set(true, true)
		return "UID " + set, func(msg *message) (bool, bool) {
			return slices.Contains(targets, msg), msg.uid != 0
		}
	case 7:
		k, f := c.key(depth + 1)
		return "NOT " + k, func(msg *message) (bool, bool) {
			match, sure := f(msg)
			return !match, sure
		}
	case 8:
		k, f := c.key(depth + 1)
		l, g := c.key(depth + 1)
		return "OR " + k + " " + l, func(msg *message) (bool, bool) {
			a, sa := f(msg)
			b, sb := g(msg)
			return a || b, sa && sb
		}
	}
	k, f := c.key(depth + 1)
	l, g := c.key(depth + 1)
	return "(" + k + " " + l + ")", func(msg *message) (bool, bool) {
		a, sa := f(msg)
		b, sb := g(msg)
		return a && b, sa && sb
	}
}

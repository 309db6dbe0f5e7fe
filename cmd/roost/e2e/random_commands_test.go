package e2e

import (
	"fmt"
	"slices"
	"strings"
)

func pick[T any](c *conversation, from ...T) T { return from[c.rng.IntN(len(from))] }

// command makes the next command.
func (c *conversation) command() randomCommand {
	c.n++
	b := &commandText{c: c, cmd: randomCommand{selected: c.selected.name}}
	uid := pick(c, "", "", "UID ")
	// Too many BAD in a row, for want of a message, would end the session.
	wanting := c.selected.messages == 0 && c.rng.IntN(3) == 0
	switch k := c.rng.IntN(100); {
	case k < 12 || wanting || c.n == 1:
		b.add(c.anyCase("EXAMINE") + " ")
		c.selected = c.mailbox()
		b.str(c.selected.name)
		if c.rng.IntN(6) == 0 {
			b.add(" (CONDSTORE)")
		}
	case k < 50:
		b.add(uid + c.anyCase("FETCH") + " " + c.set(uid != "") + " ")
		c.fetchItems(b)
		if c.rng.IntN(12) == 0 {
			b.add(fmt.Sprintf(" (CHANGEDSINCE %d)", c.rng.IntN(30)))
		}
	case k < 75:
		b.add(uid + c.anyCase("SEARCH"))
		if c.rng.IntN(5) == 0 {
			b.add(" CHARSET ")
			b.str("UTF-8")
		}
		for range 1 + c.rng.IntN(3) {
			b.add(" ")
			c.searchKey(b, 0, false)
		}
	case k < 81:
		b.add("STATUS ")
		b.str(c.mailbox().name)
		b.add(" (" + c.some("MESSAGES", "RECENT", "UNSEEN", "UIDNEXT", "UIDVALIDITY", "HIGHESTMODSEQ") + ")")
	case k < 90:
		b.add(pick(c, "LIST ", "LIST ", "LSUB "))
		b.str(pick(c, "", "", "", "Archive/", "Archive", "Projects/", "nosuch/"))
		b.add(" ")
		b.str(c.pattern())
	case k < 92:
		b.add(pick(c, "UNSELECT", "CLOSE"))
		c.selected = randomBox{}
	case k < 94:
		b.add("IDLE\r\nDONE")
	case k < 95:
		b.add("ENABLE CONDSTORE")
	case k < 97:
		b.add(pick(c, "FETCH 1:2 (BODY[", "SEARCH FOO", "NONSENSE", "FETCH 0 UID", `STATUS INBOX ()`, "UID", "SEARCH"))
	default:
		b.add(pick(c, "NOOP", "CHECK", "NAMESPACE"))
	}
	b.add("\r\n")
	return b.cmd
}

// commandText collects a command.
type commandText struct {
	c   *conversation
	cmd randomCommand
}

func (b *commandText) add(s string) { b.cmd.text = append(b.cmd.text, s...) }

// str adds a string in a random form that can hold it.
func (b *commandText) str(s string) {
	switch b.c.rng.IntN(5) {
	case 0:
		b.add(fmt.Sprintf("{%d+}\r\n%s", len(s), s))
	case 1:
		b.add(fmt.Sprintf("{%d}\r\n", len(s)))
		b.cmd.waits = append(b.cmd.waits, len(b.cmd.text))
		b.add(s)
	case 2:
		if s != "" && !strings.ContainsAny(s, "(){ %*\"\\]") && isASCII(s) {
			b.add(s)
			return
		}
		fallthrough
	default:
		if !isASCII(s) {
			b.add(fmt.Sprintf("{%d+}\r\n%s", len(s), s))
			return
		}
		b.add(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`)
	}
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > 126 || r < 32 }) < 0
}

func (c *conversation) anyCase(s string) string {
	if c.rng.IntN(4) == 0 {
		return strings.ToLower(s)
	}
	return s
}

func (c *conversation) mailbox() randomBox {
	if c.rng.IntN(9) == 0 {
		return randomBox{name: pick(c, "nosuch", "Archive/nosuch", "INBOX/x", "a//b", "%", "&", "&AP-")}
	}
	b := pick(c, c.boxes...)
	if c.rng.IntN(4) == 0 {
		i := slices.IndexFunc(c.boxes, func(b randomBox) bool { return b.name == "INBOX" })
		b = c.boxes[i]
		b.name = pick(c, "INBOX", "inbox", "InBox")
	}
	return b
}

// some returns one or more of the words, in any order.
func (c *conversation) some(words ...string) string {
	c.rng.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	return strings.Join(words[:1+c.rng.IntN(len(words))], " ")
}

// set makes a message set. Sequence numbers exist, mostly: the servers differ in which sets with some that do not they refuse.
func (c *conversation) set(uid bool) string {
	var parts []string
	most := max(c.selected.messages, 1)
	if uid {
		most += 10
	} else if c.rng.IntN(20) == 0 {
		return fmt.Sprint(most + 1)
	}
	num := func() string {
		switch c.rng.IntN(8) {
		case 0:
			return "*"
		case 1:
			return fmt.Sprint(1 + c.rng.IntN(most))
		}
		return fmt.Sprint(1 + c.rng.IntN(min(most, 5)))
	}
	for range 1 + c.rng.IntN(3) {
		p := num()
		if c.rng.IntN(2) == 0 {
			p += ":" + num()
		}
		parts = append(parts, p)
	}
	return strings.Join(parts, ",")
}

func (c *conversation) pattern() string {
	var s strings.Builder
	for range 1 + c.rng.IntN(4) {
		s.WriteString(pick(c, "*", "%", "%", "/", "Archive", "INBOX", "inbox", "20", "2024", "Pro", "e", "A", "Alpha", "&ZeVnLIqe-", "&AP", "-"))
	}
	return s.String()
}

func (c *conversation) fetchItems(b *commandText) {
	if c.rng.IntN(6) == 0 {
		b.add(pick(c, "ALL", "FAST", "FULL", "fast", "FLAGS", "UID", "BODYSTRUCTURE", "RFC822.SIZE"))
		return
	}
	b.add("(")
	for i := range 1 + c.rng.IntN(4) {
		if i > 0 {
			b.add(" ")
		}
		if c.rng.IntN(2) == 0 {
			b.add(c.anyCase(pick(c, "FLAGS", "UID", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY", "BODYSTRUCTURE", "RFC822.HEADER", "RFC822", "RFC822.TEXT")))
			continue
		}
		c.section(b)
	}
	b.add(")")
}

func (c *conversation) section(b *commandText) {
	b.add(pick(c, "BODY.PEEK[", "BODY["))
	depth := c.rng.IntN(4)
	for i := range depth {
		if i > 0 {
			b.add(".")
		}
		b.add(fmt.Sprint(1 + c.rng.IntN(3)))
	}
	text := pick(c, "", "", "HEADER", "TEXT", "MIME", "HEADER.FIELDS", "HEADER.FIELDS.NOT")
	if text == "MIME" && depth == 0 {
		text = ""
	}
	if text != "" {
		if depth > 0 {
			b.add(".")
		}
		b.add(text)
	}
	if strings.HasPrefix(text, "HEADER.F") {
		b.add(" (" + c.some("From", "Subject", "DATE", "Received", "X-None", "Message-ID", "content-type") + ")")
	}
	b.add("]")
	if c.rng.IntN(3) == 0 {
		b.add(fmt.Sprintf("<%d.%d>", pick(c, 0, 0, 2, 10, 500, 3000, 100000), pick(c, 1, 5, 100, 1000, 4096, 1000000)))
	}
}

// searchKey adds a key of SEARCH. Below NOT and OR (negated) it leaves out what Dovecot 2.3.19 narrows the search by even there, as stories
// base/search_narrowed and condstore/search show: whether a message was seen, and MODSEQ.
func (c *conversation) searchKey(b *commandText, depth int, negated bool) {
	n := 40
	if depth > 2 {
		n = 36
	}
	switch k := c.rng.IntN(n); {
	case k < 8:
		keys := []string{"ALL", "ANSWERED", "UNANSWERED", "DELETED", "UNDELETED", "DRAFT", "UNDRAFT", "FLAGGED", "UNFLAGGED", "OLD", "RECENT"}
		if !negated {
			keys = append(keys, "SEEN", "UNSEEN", "NEW")
		}
		b.add(c.anyCase(pick(c, keys...)))
	case k < 11:
		b.add("UID " + c.set(true))
	case k < 14:
		b.add(pick(c, "1", "1:*", "*", "1:1", "*:1"))
	case k < 17:
		b.add(pick(c, "LARGER ", "SMALLER ") + fmt.Sprint(pick(c, 0, 300, 500, 1000, 5000, 100000)))
	case k < 20:
		b.add(pick(c, "BEFORE ", "ON ", "SINCE ", "SENTBEFORE ", "SENTON ", "SENTSINCE ") + pick(c, "5-Feb-2024", "\"5-Feb-2024\"", "9-Feb-2024", "1-Jan-1990", "31-Dec-2030"))
	case k < 26:
		b.add(pick(c, "FROM ", "TO ", "CC ", "BCC ", "SUBJECT "))
		b.str(pick(c, "example", "sender", "mail 1", "ü", "Jörg", "a", "", "@", "Re:", "Übersicht"))
	case k < 29:
		b.add("HEADER ")
		b.str(pick(c, "List-Id", "Message-ID", "Received", "X-None", "content-type", "References"))
		b.add(" ")
		b.str(pick(c, "", "l1", "multipart", "mp-5", "example", "text"))
	case k < 34:
		b.add(pick(c, "BODY ", "TEXT "))
		b.str(pick(c, "hello", "example", "inner body", "Grüße", "e", "nosuchtext", "\"", "line"))
	case k < 35:
		if !strings.EqualFold(c.selected.name, "INBOX") { // Dovecot adds what is searched for to the mailbox's keywords
			b.add("ALL")
			return
		}
		b.add("KEYWORD " + pick(c, "$Forwarded", "kw01", "KW01"))
	case k < 36:
		if negated {
			b.add("ALL")
			return
		}
		b.add(fmt.Sprintf("MODSEQ %d", 1+c.rng.IntN(20)))
	case k < 37:
		b.add("NOT ")
		c.searchKey(b, depth+1, true)
	case k < 38:
		b.add("OR ")
		c.searchKey(b, depth+1, true)
		b.add(" ")
		c.searchKey(b, depth+1, true)
	default:
		b.add("(")
		for i := range 1 + c.rng.IntN(3) {
			if i > 0 {
				b.add(" ")
			}
			c.searchKey(b, depth+1, negated)
		}
		b.add(")")
	}
}

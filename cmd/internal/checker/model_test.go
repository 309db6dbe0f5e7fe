package checker

import (
	"strings"
	"testing"
)

// selectLines answer SELECT of a mailbox with three messages.
const selectLines = `* FLAGS (\Seen)
* OK [PERMANENTFLAGS (\Seen)] ok
* 3 EXISTS
* 0 RECENT
* OK [UIDVALIDITY 7] ok
* OK [UIDNEXT 10] ok
* OK [HIGHESTMODSEQ 20] ok
s OK [READ-WRITE] done`

// knownLines tell the UIDs 4, 6 and 8.
const knownLines = `* 1 FETCH (UID 4 FLAGS (\Seen) MODSEQ (11))
* 2 FETCH (UID 6 FLAGS () MODSEQ (12))
* 3 FETCH (UID 8 FLAGS (x) MODSEQ (13))
f OK done`

// selectedModel has them all.
func selectedModel(t *testing.T, qresync bool) *model {
	t.Helper()
	m := &model{recent: -1, world: newWorld(), qresync: qresync, condstore: qresync}
	m.sent(&command{tag: "s", name: "SELECT", text: "SELECT INBOX", mailbox: "INBOX"})
	feed(t, m, selectLines)
	m.sent(&command{tag: "f", name: "FETCH", text: "FETCH", targets: m.msgs, items: []string{"UID", "FLAGS", "MODSEQ"}})
	feed(t, m, knownLines)
	return m
}

func feed(t *testing.T, m *model, lines string) {
	t.Helper()
	for line := range strings.Lines(lines) {
		if err := m.take([]byte(strings.TrimSuffix(line, "\n"))); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
}

func flagKey(flag string) searchKey {
	return func(msg *message) (bool, bool) { return msg.has(flag), msg.known }
}

// TestContradictions: each answer is right up to its last line, which contradicts what was said before.
func TestContradictions(t *testing.T) {
	none := func(m *model) *command { return nil }
	simple := func(name string, uid bool) func(*model) *command {
		return func(m *model) *command {
			return &command{tag: "c", name: name, text: name, uid: uid, targets: m.msgs, marked: m.msgs, store: &storeCommand{}}
		}
	}
	search := func(uid bool, result ...string) func(*model) *command {
		return func(m *model) *command {
			return &command{tag: "c", name: "SEARCH", text: "SEARCH SEEN", uid: uid, search: &searchCommand{flagKey(`\Seen`), result}}
		}
	}
	for _, c := range []struct {
		name    string
		qresync bool
		command func(*model) *command
		lines   string
		want    string // of the error; "" = there is none
	}{
		{"EXPUNGE during FETCH", false, simple("FETCH", false), "* 1 EXPUNGE", "during FETCH"},
		{"EXPUNGE during STORE", false, simple("STORE", false), "* 1 EXPUNGE", "during STORE"},
		{"EXPUNGE during SEARCH", false, search(false), "* 1 EXPUNGE", "during SEARCH"},
		{"VANISHED during FETCH", true, simple("FETCH", false), "* VANISHED 4", "during FETCH"},
		{"EXPUNGE during UID FETCH", false, simple("FETCH", true), "* 1 EXPUNGE", ""},
		{"EXPUNGE without a command", false, none, "* 1 EXPUNGE", "no command"},
		{"EXPUNGE with QRESYNC", true, simple("NOOP", false), "* 1 EXPUNGE", "instead of VANISHED"},
		{"VANISHED without QRESYNC", false, simple("NOOP", false), "* VANISHED 4", "not enabled"},
		{"EXISTS shrinks", false, simple("NOOP", false), "* 2 EXISTS", "EXISTS 2"},
		{"EXISTS after EXPUNGE", false, simple("NOOP", false), "* 3 EXPUNGE\n* 2 EXISTS", ""},
		{"RECENT above EXISTS", false, simple("NOOP", false), "* 4 RECENT", "RECENT 4"},
		{"FETCH out of range", false, simple("NOOP", false), "* 4 FETCH (FLAGS ())", "number 4"},
		{"FETCH after EXPUNGE", false, simple("NOOP", false), "* 1 EXPUNGE\n* 3 FETCH (FLAGS ())", "number 3"},
		{"another UID", false, simple("NOOP", false), "* 1 FETCH (UID 5 FLAGS ())", "had UID 4"},
		{"UID after EXPUNGE", false, simple("NOOP", false), "* 1 EXPUNGE\n* 1 FETCH (UID 6 FLAGS ())", ""},
		{"UID of a new message", false, simple("NOOP", false), "* 4 EXISTS\n* 4 FETCH (UID 9 FLAGS ())", "UIDNEXT 10"},
		{"UIDs that descend", false, simple("NOOP", false), "* 5 EXISTS\n* 4 FETCH (UID 12 FLAGS ())\n* 5 FETCH (UID 11 FLAGS ())", "message 4 has 12"},
		{"modseq goes back", true, simple("NOOP", false), `* 1 FETCH (UID 4 FLAGS (\Seen) MODSEQ (10))`, "modseq 10 after 11"},
		{"other flags, same modseq", true, simple("NOOP", false), `* 1 FETCH (UID 4 FLAGS () MODSEQ (11))`, "both with modseq 11"},
		{"flags without MODSEQ", true, simple("NOOP", false), `* 1 FETCH (UID 4 FLAGS ())`, "without MODSEQ"},
		{"flags without UID", true, simple("NOOP", false), `* 1 FETCH (FLAGS () MODSEQ (14))`, "without UID"},
		{"UID STORE without UID", false, simple("STORE", true), `* 1 FETCH (FLAGS () MODSEQ (14))`, "without UID"},
		{"VANISHED of nothing", true, simple("NOOP", false), "* VANISHED 5", "was not there"},
		{"VANISHED of a message without UID", true, simple("NOOP", false), "* 4 EXISTS\n* VANISHED 12\n* 3 FETCH (UID 8 FLAGS (y) MODSEQ (21))", ""},
		{"VANISHED twice", true, simple("NOOP", false), "* VANISHED 4\n* VANISHED 4", "was not there"},
		{"VANISHED EARLIER unasked", true, simple("NOOP", false), "* VANISHED (EARLIER) 2", "nobody has asked"},
		{"CLOSED", false, simple("NOOP", false), "* OK [CLOSED] x", "CLOSED"},
		{"UIDVALIDITY", false, simple("NOOP", false), "* OK [UIDVALIDITY 8] x", "after 7"},
		{"order of answers", false, simple("NOOP", false), "d OK done", "was sent before"},
		{"SEARCH finds too much", false, search(false), "* SEARCH 1 2\nc OK done\n@c OK done", "nothing has changed"},
		{"UID SEARCH finds too much", false, search(true), "* SEARCH 4 6\nc OK done", "found 6, which does not match"},
		{"SEARCH of what can not be told yet", false, search(false), "* SEARCH 1 2\nc OK done\n@* 2 EXPUNGE\nc OK done", ""},
		{"SEARCH finds too little", false, search(true), "* SEARCH\nc OK done", "has not found 4"},
		{"SEARCH out of range", false, search(false), "* SEARCH 1 4\nc OK done", "number 4 of 3"},
		{"SEARCH twice", false, search(false), "* SEARCH 1\n* SEARCH 1", "second"},
		{"SEARCH without answer", false, search(false), "c OK done", "without its result"},
		{"SEARCH of what changes", false, search(false), "* SEARCH 1 2\n* 2 FETCH (FLAGS (\\Seen))\nc OK done", ""},
		{"ESEARCH", false, search(true, "ALL", "COUNT", "MIN", "MAX"), "* ESEARCH (TAG \"c\") UID MIN 4 MAX 4 ALL 4 COUNT 1\nc OK done", ""},
		{"ESEARCH MAX", false, search(true, "MAX"), "* ESEARCH (TAG \"c\") UID MAX 6\nc OK done", "MAX 6"},
		{"ESEARCH COUNT", false, search(true, "COUNT"), "* ESEARCH (TAG \"c\") UID COUNT 2\nc OK done", "COUNT 2"},
		{"ESEARCH of another", false, search(true, "ALL"), "* ESEARCH (TAG \"b\") UID ALL 4\nc OK done", "ESEARCH of b"},
		{"ESEARCH without UID", false, search(true, "ALL"), "* ESEARCH (TAG \"c\") ALL 1\nc OK done", "UID false"},
		{"FETCH without an item", false, func(m *model) *command {
			return &command{tag: "c", name: "FETCH", text: "FETCH", targets: m.msgs[:1], items: []string{"ENVELOPE"}}
		}, "* 1 FETCH (FLAGS ())\nc OK done\n@c OK done", "still there after NOOP"},
		{"STORE without its response", false, simple("STORE", false), "* 1 FETCH (FLAGS ())\n* 2 FETCH (FLAGS ())\nc OK done\n@c OK done", "UID 8 is still there"},
		{"STORE of what is gone", false, simple("STORE", false), "* 1 FETCH (FLAGS ())\n* 2 FETCH (FLAGS ())\nc OK done\n@* 3 EXPUNGE\nc OK done", ""},
		{"EXPUNGE that does nothing", false, func(m *model) *command {
			m.msgs[1].flags = []string{`\Deleted`}
			return &command{tag: "c", name: "EXPUNGE", text: "EXPUNGE", marked: m.msgs[1:2]}
		}, "c OK done", `UID 6 was \Deleted`},
		{"MOVE that leaves it", false, simple("MOVE", false), "* OK [COPYUID 9 4 1] x\nc OK done", "UID 4 was moved"},
		{"COPYUID of something else", false, simple("COPY", false), "c OK [COPYUID 9 5 1] done", "nobody has asked"},
		{"COPYUID of other lengths", false, simple("COPY", false), "c OK [COPYUID 9 4 1:2] done", "1 messages to 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := selectedModel(t, c.qresync)
			if cmd := c.command(m); cmd != nil {
				m.sent(cmd)
			}
			lines := strings.Split(c.lines, "\n")
			for i, line := range lines {
				if rest, noop := strings.CutPrefix(line, "@"); noop {
					line = rest
					m.sent(&command{tag: "c", name: "NOOP", text: "NOOP"})
				}
				err := m.take([]byte(line))
				switch last := i == len(lines)-1; {
				case !last && err != nil:
					t.Fatalf("%s: %v", line, err)
				case last && (err == nil) != (c.want == ""), last && err != nil && !strings.Contains(err.Error(), c.want):
					t.Errorf("%s: %v, want %q", line, err, c.want)
				}
			}
		})
	}
}

// TestResynchronisation: after SELECT with QRESYNC, what the client knew and what it was told are all messages.
func TestResynchronisation(t *testing.T) {
	for _, c := range []struct{ lines, want string }{
		{"* 2 EXISTS\n* VANISHED (EARLIER) 6\n", ""},
		{"* 4 EXISTS\n* 4 FETCH (UID 12 FLAGS () MODSEQ (21))\n", ""},
		{"* 2 EXISTS\n", "knows of 3 messages, EXISTS is 2"},
		{"* 4 EXISTS\n", "knows of 3 messages, EXISTS is 4"},
		{"* 3 EXISTS\n* VANISHED (EARLIER) 6\n* 2 FETCH (UID 9 FLAGS () MODSEQ (21))\n", "UID 8 is message 2"},
	} {
		m := selectedModel(t, true)
		known, complete := m.remembered()
		m.sent(&command{tag: "u", name: "UNSELECT", text: "UNSELECT"})
		feed(t, m, "u OK done")
		m.sent(&command{tag: "s", name: "SELECT", text: "SELECT", mailbox: "INBOX", resync: known, complete: complete, vanishedOld: true})
		feed(t, m, "* FLAGS ()\n* OK [PERMANENTFLAGS ()] x\n* 0 RECENT\n* OK [UIDVALIDITY 7] x\n* OK [UIDNEXT 13] x\n* OK [HIGHESTMODSEQ 21] x\n"+c.lines)
		err := m.take([]byte("s OK [READ-WRITE] x"))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.lines, err, c.want)
		}
		if err == nil && m.msgs[0].uid != 4 {
			t.Errorf("%q: the first message has UID %d", c.lines, m.msgs[0].uid)
		}
	}
}

// TestSilentStore: the model works out what .SILENT does not tell.
func TestSilentStore(t *testing.T) {
	m := selectedModel(t, true)
	m.sent(&command{tag: "c", name: "STORE", text: "STORE", targets: m.msgs, store: &storeCommand{mode: storeAdd, flags: []string{"y"}, silent: true, conditional: true}})
	feed(t, m, "* 1 FETCH (UID 4 MODSEQ (21))\n* 3 FETCH (UID 8 MODSEQ (21) FLAGS (other))\nc OK [MODIFIED 2] x")
	for i, want := range []string{`\Seen y`, "", "other"} {
		if got := strings.Join(m.msgs[i].flags, " "); got != want {
			t.Errorf("message %d has %q, want %q", i+1, got, want)
		}
	}
}

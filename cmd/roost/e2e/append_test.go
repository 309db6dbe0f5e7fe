package e2e

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// literals sends a command in which "{n}" at the end of a line stands for a literal that is waited for, and returns its
// untagged responses and its tagged one, without the tag.
func literals(t *testing.T, c *rig.Client, tag, command string) (untagged [][]byte, final string) {
	t.Helper()
	for rest := tag + " " + command + "\r\n"; rest != ""; {
		line := rest
		wait := syncLiteral.FindStringIndex(rest)
		if wait != nil {
			line = rest[:wait[1]]
		}
		rest = rest[len(line):]
		must(t, c.Send([]byte(line)))
		if wait == nil {
			break
		}
		for {
			r, err := c.ReadResponse()
			must(t, err)
			if bytes.HasPrefix(r, []byte("+")) {
				break
			}
			if done, ok := bytes.CutPrefix(r, []byte(tag+" ")); ok { // refused before it was sent
				return untagged, string(done)
			}
			untagged = append(untagged, r)
		}
	}
	u, done, err := c.Until(tag)
	must(t, err)
	return append(untagged, u...), string(done)
}

var syncLiteral = regexp.MustCompile(`\{\d+\}\r\n`)

// verdict cuts a tagged response to its status and the name of its code.
func verdict(final string) string {
	status, rest, _ := strings.Cut(final, " ")
	if code, ok := strings.CutPrefix(rest, "["); ok {
		code, _, _ = strings.Cut(code, "]")
		code, _, _ = strings.Cut(code, " ")
		return status + " [" + code + "]"
	}
	return status
}

// oddAppends are commands behind which "message" stands for a literal with a message.
var oddAppends = []struct{ command, differs string }{
	{command: "INBOX message"},
	{command: `inbox (\Seen \Flagged kw KW kw) message`},
	{command: `INBOX () message`},
	{command: `INBOX "17-Jul-1996 02:44:25 -0700" message`},
	{command: `INBOX (\Draft) " 7-Jul-1996 02:44:25 -0700" message`},
	{command: `INBOX (\Recent) message`},
	{command: `INBOX (\Foo) message`},
	{command: `INBOX (\*) message`},
	{command: `INBOX (x "y") message`},
	{command: `INBOX (x`},
	{command: `INBOX "xx" message`},
	{command: `INBOX "17-Jul-96 02:44:25 -0700" message`},
	{command: `INBOX "31-Feb-2020 02:44:25 -0700" message`, differs: "BAD"}, // Dovecot takes it for the 2nd of March
	{command: `INBOX "17-Jul-1996 02:44:25 CET" message`, differs: "BAD"},   // and this for UTC
	{command: `INBOX`},
	{command: ``},
	{command: `INBOX "text"`},
	{command: `INBOX (\Seen)`},
	{command: `nope message`},
	{command: `"" message`},
	{command: `&bad message`, differs: "NO [CANNOT]"}, // Dovecot: without a code
	{command: `INBOX {0}` + "\r\n"},
	{command: "INBOX message {0}\r\n"},
	{command: "INBOX message message (\\Answered) message"},
	{command: "INBOX message (\\Bad) message"},
	{command: "INBOX message \"xx\" message"},
	{command: "INBOX message (x"},
	{command: "INBOX message "},
	{command: "{5}\r\nINBOX message"},
	{command: "{4}\r\nnope message"},
	{command: "INBOX {5}\r\n1\x0034\n"},
}

// TestOddAppends sends APPEND in all variants to roost and to Dovecot, each with a store of its own.
func TestOddAppends(t *testing.T) {
	const message = "{29}\r\nSubject: x\r\n\r\nbody\nwith\r\nLF\r\n"
	d := startDovecot(t, rig.DovecotOptions{})
	r := startRoost(t, rig.RoostOptions{Home: mailHome(t), Users: []string{"odd"}})
	rc, dc := login(t, r.Addr, "odd"), login(t, d.Addr, "odd")
	for i, odd := range oddAppends {
		command := "APPEND " + strings.ReplaceAll(odd.command, "message", message)
		tag := fmt.Sprintf("t%d", i)
		_, got := literals(t, rc, tag, command)
		_, want := literals(t, dc, tag, command)
		w := verdict(want)
		if odd.differs != "" {
			if w == odd.differs {
				t.Errorf("APPEND %s: Dovecot does not differ: %s", odd.command, want)
			}
			w = odd.differs
		}
		if verdict(got) != w {
			t.Errorf("APPEND %s:\nroost   %s\nDovecot %s", odd.command, got, want)
		}
		if w == "BAD" { // what was in its last line may have been taken for a command
			rc, dc = login(t, r.Addr, "odd"), login(t, d.Addr, "odd")
		}
	}
}

// TestDovecotReadsWhatIsAppended appends messages of many kinds through roost, and reads them through Dovecot from the same store.
func TestDovecotReadsWhatIsAppended(t *testing.T) {
	home := mailHome(t)
	r := startRoost(t, rig.RoostOptions{Home: home, Users: []string{"app"}})
	d := startDovecot(t, rig.DovecotOptions{Home: home})
	rc, dc := login(t, r.Addr, "app"), login(t, d.Addr, "app")
	cmd(t, dc, "SELECT INBOX")
	lines := strings.Repeat("line of text with CRLF\r\n", 1+(300<<10)/24)
	for i, m := range []struct{ args, body, flags string }{
		{`(\Seen $Label1) "17-Jul-1996 02:44:25 -0700"`, "Subject: x\r\n\r\nbody\r\n", `(\Seen $Label1)`},
		{`()`, "Subject: bare LF\n\nbody\n", `()`},
		{`(\Flagged \Draft)`, "Subject: no end of line\r\n\r\nbody", `(\Flagged \Draft)`},
		{`(\Answered)`, "Subject: large, by way of a file\r\n\r\n" + lines, `(\Answered)`},
		{`()`, "Subject: 8bit\r\n\r\n\xe4\xf6\xfc\r\n.\r\nFrom x\r\n", `()`},
	} {
		for _, plus := range []string{"", "+"} {
			_, final := literals(t, rc, "a", fmt.Sprintf("APPEND INBOX %s {%d%s}\r\n%s", m.args, len(m.body), plus, m.body))
			if !strings.HasPrefix(final, "OK [APPENDUID ") {
				t.Fatalf("message %d: %s", i, final)
			}
			uid := strings.TrimSuffix(strings.Fields(final)[3], "]")
			cmd(t, dc, "NOOP")
			answers, err := rig.FetchAnswers(cmd(t, dc, "UID FETCH %s (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])", uid))
			must(t, err)
			want := strings.ReplaceAll(strings.ReplaceAll(m.body, "\r\n", "\n"), "\n", "\r\n")
			if len(answers) != 1 {
				t.Fatalf("message %d: Dovecot has %d messages with UID %s", i, len(answers), uid)
			}
			for _, a := range answers {
				if a["BODY[]"].Str != want || a["RFC822.SIZE"].Str != fmt.Sprint(len(want)) {
					t.Errorf("message %d: size %v, body %.200s", i, a["RFC822.SIZE"], a["BODY[]"])
				}
				for _, f := range strings.Fields(strings.Trim(m.flags, "()")) {
					if !slices.ContainsFunc(a["FLAGS"].List, func(v rig.Value) bool { return v.Str == f }) {
						t.Errorf("message %d: flags %v, want %s", i, a["FLAGS"], f)
					}
				}
				if date := a["INTERNALDATE"].Str; strings.Contains(m.args, "1996") != strings.Contains(date, "17-Jul-1996 09:44:25 +0000") {
					t.Errorf("message %d: date %s", i, date)
				}
			}
		}
	}
}

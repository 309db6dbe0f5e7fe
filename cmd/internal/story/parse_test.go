package story

import (
	"strings"
	"testing"
)

func TestParseHeaders(t *testing.T) {
	s := parse(t, `# the title
# more
rfc: 5256 §3, 3501 §6.4.4, §7.2.5
rfc: 9051
needs: SORT ESEARCH
only: roost — a limit of ours
roost: limits.bad_commands = 3
dovecot: mail_max_keyword_length = 5
login: no
mail: a.eml in:Box x3 \Seen work 2020-01-01T00:00:00Z

1> a NOOP
`)
	if s.Title != "the title" || !s.Raw || s.Only != "roost" || s.OnlyWhy != "a limit of ours" || strings.Join(s.Needs, " ") != "SORT ESEARCH" {
		t.Errorf("%+v", s)
	}
	var refs []string
	for _, r := range s.Refs {
		refs = append(refs, r.String())
	}
	if got := strings.Join(refs, ", "); got != "RFC 5256 §3, RFC 3501 §6.4.4, RFC 3501 §7.2.5, RFC 9051" {
		t.Errorf("refs %s", got)
	}
	if len(s.Settings["roost"]) != 1 || len(s.Settings["dovecot"]) != 1 {
		t.Errorf("settings %v", s.Settings)
	}
	m := s.Mail[0]
	if m.File != "a.eml" || m.Mailbox != "Box" || m.Copies != 3 || strings.Join(m.Flags, " ") != `\Seen work` || m.Date.Year() != 2020 {
		t.Errorf("mail %+v", m)
	}
}

func TestParseRefuses(t *testing.T) {
	const head = "# t\nrfc: 3501 §6\n"
	for name, text := range map[string]string{
		"no title":               "rfc: 3501\n1> a NOOP",
		"no rfc":                 "# t\n1> a NOOP",
		"no lines":               head,
		"unknown header":         head + "colour: red\n1> a NOOP",
		"unknown line":           head + "what?",
		"unknown server":         head + "# RFC 3501 §6: so\n[cyrus] 1> a NOOP",
		"difference unexplained": head + "[roost] 1> a NOOP",
		"reason is no RFC":       head + "# we like it so\n[roost] 1> a NOOP",
		"reason too far away":    head + "# RFC 3501 §6: so\n1> a NOOP\n[roost] 1< a OK",
		"section without RFC":    "# t\nrfc: §6\n1> a NOOP",
		"only without reason":    head + "only: roost\n1> a NOOP",
		"bad date of mail":       head + "mail: a.eml 2020-13-01T00:00:00Z\n1> a NOOP",
		"unknown reference":      head + "1< a «B C»",
		"connect nobody":         head + "connect 2",
	} {
		if _, err := Parse("x", "x.txt", text); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := Parse("Upper", "x.txt", head+"1> a NOOP"); err == nil {
		t.Error("a name that is no user name is accepted")
	}
}

func TestDifferencesOfOneReasonAreOne(t *testing.T) {
	s := parse(t, `# t
rfc: 3501 §6
# RFC 3501 §7.1: "text"
# goes on
[roost] 1< a OK
[dovecot] 1< a NO
1> b NOOP
# RFC 3501 §7.2: other
[dovecot] 1< * 1 EXISTS
`)
	if len(s.Differences) != 2 || len(s.Differences[0].Lines) != 2 || s.Differences[1].After != "1> b NOOP" || s.Differences[0].Reason != `RFC 3501 §7.1: "text" goes on` {
		t.Errorf("%+v", s.Differences)
	}
}

func parse(t *testing.T, text string) *Story {
	t.Helper()
	s, err := Parse("x", "x.txt", text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

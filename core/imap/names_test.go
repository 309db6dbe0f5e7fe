package imap

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
)

func mustNames(t testing.TB, ns ...backend.Namespace) names {
	t.Helper()
	n, err := newNames(ns)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNamesResolve(t *testing.T) {
	n := mustNames(t,
		backend.Namespace{Name: "in", Prefix: "INBOX.", Separator: '.', Inbox: true, List: true},
		backend.Namespace{Name: "sh", Prefix: "Shared/", Separator: '/', List: true},
		backend.Namespace{Name: "deep", Prefix: "Shared/deep/", Separator: '/', List: true},
	)
	for _, c := range []struct{ raw, namespace, name, refusal string }{
		{"INBOX", "in", "INBOX", ""},
		{"iNbOx", "in", "INBOX", ""},
		{"INBOX.a.b", "in", "a/b", ""},
		{"INBOX.Inbox", "in", "Inbox", ""}, // not INBOX
		{"inbox.inbox.a", "in", "inbox/a", ""},
		{"Shared/INBOX", "sh", "INBOX", ""},
		{"inbox.a", "in", "a", ""},
		{"Shared/x", "sh", "x", ""},
		{"shared/x", "", "", "NONEXISTENT"},
		{"Shared/deep/x", "deep", "x", ""},
		{"Shared/deep", "sh", "deep", ""},
		{"Shared/deep/Entw&APw-rfe", "deep", "Entwürfe", ""},
		{"Shared", "", "", "NONEXISTENT"},
		{"Shared/", "", "", "CANNOT"},
		{"other", "", "", "NONEXISTENT"},
		{"INBOX.a/b", "", "", "CANNOT"},
		{"INBOX.a..b", "", "", "CANNOT"},
		{"INBOX..a", "", "", "CANNOT"},
		{"INBOX.a.", "", "", "CANNOT"},
		{"INBOX.&AAo-", "", "", "CANNOT"}, // a line feed
		{"&", "", "", "CANNOT"},
	} {
		ns, name, err := n.resolve([]byte(c.raw), false)
		if c.refusal != "" {
			var r *response
			if !errors.As(err, &r) || r.code != c.refusal {
				t.Errorf("%q: error %v, want [%s]", c.raw, err, c.refusal)
			}
			continue
		}
		if err != nil || ns.Name != c.namespace || name != c.name {
			t.Errorf("%q: %v %q, %v", c.raw, ns, name, err)
			continue
		}
		back, ok := ns.client(name)
		if want, _ := imapwire.DecodeUTF7([]byte(c.raw)); !ok || !strings.EqualFold(back, want) {
			t.Errorf("%q becomes %q for clients", c.raw, back)
		}
	}
	if _, ok := n.inbox.client("a.b"); ok {
		t.Error("a level with the separator in it got a name")
	}
	plain := mustNames(t, backend.Namespace{Name: "in", Separator: '.', Inbox: true, List: true})
	for _, name := range []string{"inbox", "Inbox/a"} { // clients that say this get INBOX, and what is below it
		if got, ok := plain.inbox.client(name); ok {
			t.Errorf("%q got the name %q", name, got)
		}
	}
}

func TestContradictingNamespaces(t *testing.T) {
	inbox := backend.Namespace{Inbox: true}
	for want, ns := range map[string][]backend.Namespace{
		"no namespace has inbox = true":           {{Prefix: "a/"}},
		"two namespaces have inbox = true":        {inbox, {Prefix: "a/", Inbox: true}},
		`two namespaces have the prefix ""`:       {inbox, {}},
		`prefix "a" does not end in its separato`: {inbox, {Prefix: "a"}},
	} {
		if _, err := newNames(ns); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// regexpOf is RFC 3501's definition of a pattern as a regular expression.
func regexpOf(p string) *regexp.Regexp {
	q := regexp.QuoteMeta(p)
	q = strings.ReplaceAll(strings.ReplaceAll(q, `\*`, `.*`), `%`, `[^/]*`)
	return regexp.MustCompile("^(?s:" + q + ")$")
}

func FuzzPattern(f *testing.F) {
	for _, s := range [][2]string{{"*", "a/b"}, {"%", "a/b"}, {"a/%", "a/b"}, {"%/%", "a/b"}, {"*%*", "x"}, {"", ""}, {"a*b", "ab"}, {"%a", "a/a"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, p, name string) {
		if !utf8.ValidString(p) || !utf8.ValidString(name) || name == "INBOX" {
			return
		}
		if got, want := pattern(p).match(name, '/'), regexpOf(p).MatchString(name); got != want {
			t.Errorf("pattern %q, name %q: %t, want %t", p, name, got, want)
		}
	})
}

func TestPatternMatchesInboxInAnyCase(t *testing.T) {
	for p, want := range map[string]bool{"inbox": true, "InB*": true, "%": true, "inbox/": false, "INBO": false, "i%x": true} {
		if got := pattern(p).match("INBOX", '/'); got != want {
			t.Errorf("%q: %t", p, got)
		}
	}
	if pattern("sent").match("Sent", '/') {
		t.Error("another name matched in another case")
	}
}

// TestPatternIsNotExponential: many wildcards against a long name that does not match.
func TestPatternIsNotExponential(t *testing.T) {
	if pattern(strings.Repeat("*a%", 500)+"b").match(strings.Repeat("a", 2000), '/') {
		t.Error("matched")
	}
}

// FuzzListOptions: the grammar of LIST ends on any input, without a panic, within the command.
func FuzzListOptions(f *testing.F) {
	for _, s := range []string{`"" *`, `(SUBSCRIBED RECURSIVEMATCH) "" (a "b%") RETURN (STATUS (MESSAGES) CHILDREN)`, `() "" () RETURN ()`} {
		f.Add(s + "\r\n")
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := imapwire.NewDecoder([]byte(s), imapwire.DefaultLimits)
		var o listOptions
		o.parse(&d)
		d.End()
		if d.Err() == nil && len(o.patterns) == 0 {
			t.Errorf("%q was accepted without a pattern", s)
		}
	})
}

// TestEveryErrorKindHasACode: the list of kinds is append-only; a new one needs its code here.
func TestEveryErrorKindHasACode(t *testing.T) {
	for k := backend.KindInternal; ; k++ {
		if strings.HasPrefix(k.String(), "kind ") {
			break
		}
		c, ok := errorCodes[k]
		if !ok || c.code == "" || c.text == "" {
			t.Errorf("%v has no response code", k)
		}
	}
	r := responseOf(errors.New("open /srv/mail: no such file"))
	if r.status != "NO" || r.code != "SERVERBUG" || strings.Contains(r.text, "/srv") {
		t.Errorf("a stray error becomes %+v", r)
	}
	r = responseOf(&backend.Error{Kind: backend.KindCorrupted, Detail: "/srv/mail/m.1: offset 3"})
	if strings.Contains(r.text, "/srv") {
		t.Errorf("detail is shown to the client: %+v", r)
	}
}

// TestDecodeName: what names are before and after ENABLE UTF8=ACCEPT, and that each comes back as it was sent.
func TestDecodeName(t *testing.T) {
	for _, c := range []struct {
		raw     string
		enabled bool
		want    string // "" = refused
		back    string // as it is sent, if not raw
	}{
		{"t&AOQ-st", false, "täst", ""},
		{"t&AOQ-st", true, "t&AOQ-st", ""},
		{"täst", false, "täst", "t&AOQ-st"},
		{"täst", true, "täst", `"täst"`},
		{"a & b", false, "", ""},
		{"a & b", true, "a & b", `"a & b"`},
		{"ä & b", false, "ä & b", `"&AOQ- &- b"`},
		{"a\xff", false, "", ""},
		{"a\xff", true, "", ""},
		{"a\u0085", true, "", ""},
		{"a\u2028", true, "", ""},
		{"a\u2029ä", false, "", ""},
		{"a\x7f", true, "", ""},
		{"日本/語\"x", true, "日本/語\"x", `"日本/語\"x"`},
	} {
		got, err := decodeName([]byte(c.raw), c.enabled)
		if (err != nil) != (c.want == "") || got != c.want {
			t.Errorf("%q, %v: %q, %v; want %q", c.raw, c.enabled, got, err, c.want)
			continue
		}
		if err != nil {
			continue
		}
		want := c.back
		if want == "" {
			want = c.raw
		}
		if back := string(appendName(nil, got, c.enabled)); back != want {
			t.Errorf("%q, %v: is sent as %s, want %s", c.raw, c.enabled, back, want)
		}
	}
}

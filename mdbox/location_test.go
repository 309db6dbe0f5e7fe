package mdbox_test

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox"
)

// TestVariablesAsDovecot compares every form with what a real Dovecot made of it.
func TestVariablesAsDovecot(t *testing.T) {
	golden, err := os.ReadFile("testdata/variables-dovecot-2.3.19.txt")
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for line := range strings.Lines(string(golden)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		cases++
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		v := mdbox.Vars{User: f[0], UID: "65534", GID: "65534"}
		got, err := v.ExpandPath("/x-" + f[1] + "-x")
		var unknown *mdbox.VariableError
		switch {
		case f[2] == "!":
			if !errors.As(err, &unknown) {
				t.Errorf("%s for %s: %q, %v; Dovecot refuses it", f[1], f[0], got, err)
			}
		case err != nil || got != "/x-"+f[2]+"-x":
			t.Errorf("%s for %s: %q, %v; Dovecot says %q", f[1], f[0], got, err, f[2])
		}
	}
	if cases < 100 {
		t.Errorf("only %d cases in the golden file", cases)
	}
}

func TestExpandPath(t *testing.T) {
	v := mdbox.Vars{User: "Ann@Example.Org", Home: "/home/ann", UID: "1000", GID: "100"}
	t.Setenv("ROOST_TEST_DIR", "/env/dir")
	for template, want := range map[string]string{
		"~/mdbox":                                      "/home/ann/mdbox",
		"~":                                            "/home/ann",
		"/a/~/b":                                       "/a/~/b",
		"%h/mdbox":                                     "/home/ann/mdbox",
		"%{home}/mdbox":                                "/home/ann/mdbox",
		"%{env:ROOST_TEST_DIR}/x":                      "/env/dir/x",
		"/m/%{user}":                                   "/m/Ann@Example.Org",
		"/m/%{user|lower}":                             "/m/ann@example.org",
		"/m/%{ user | lower }":                         "/m/ann@example.org",
		"/m/%{user | username | upper}":                "/m/ANN",
		"/m/%{user|domain}":                            "/m/Example.Org",
		"/m/%{user | domain_last | reverse}":           "/m/grO.elpmaxE",
		"/m/%{user | substr(0, 1) | lower}":            "/m/a",
		"/m/%{user | substr(-3)}":                      "/m/Org",
		"/m/%{user | substr(1,-1)}":                    "/m/nn@Example.Or",
		"/m/%{user | truncate(2)}":                     "/m/An",
		"/m/%{user | md5}":                             "/m/cb6f594af2dd907ad59d57d947a6fda1",
		"/m/%{user | md5 | substr(0,2)}":               "/m/cb6f",
		"/m/%{user | md5 | hexlify | substr(0,2)}":     "/m/cb",
		"/m/%{user | truncate(0) | default('nobody')}": "/m/nobody",
		"/m/%i-%{gid}":                                 "/m/1000-100",
	} {
		got, err := v.ExpandPath(template)
		if err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", template, got, err, want)
		}
	}
}

func TestExpandPathErrors(t *testing.T) {
	v := mdbox.Vars{User: "ann"}
	for template, want := range map[string]string{
		"/m/%q":                 `%q in "/m/%q": unknown variable`,
		"/m/%s/x":               `%s in "/m/%s/x": unknown variable`,
		"/m/%{nope}":            `%{nope} in "/m/%{nope}": unknown variable`,
		"/m/%{user":             "lacks its closing brace",
		"/m/%":                  "ends in the middle",
		"/m/%2.L":               "ends in the middle",
		"/m/%{user | frob}":     "unknown filter frob",
		"/m/%{user | substr}":   "substr needs an offset",
		"/m/%{user | substr(1}": "closing parenthesis",
		"/m/%{rot13:user}":      "unknown variable or hash",
		"/m/%{md5;salt=x:user}": "unknown hash option salt=x",
		"~/m":                   `~ in "~/m": the user's home directory is not known`,
		"%h/m":                  "home directory is not known",
		"/m/%i":                 "value is not known",
	} {
		got, err := v.ExpandPath(template)
		var ve *mdbox.VariableError
		if !errors.As(err, &ve) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want an error with %q", template, got, err, want)
		}
	}
}

// TestNamesCannotLeaveTheTemplate is about login names that were chosen by an attacker.
func TestNamesCannotLeaveTheTemplate(t *testing.T) {
	for _, c := range []struct{ user, template string }{
		{"..", "/m/%u/mdbox"}, {".", "/m/%u"}, {"../x", "/m/%u"}, {"a/b", "/m/%u"}, {"..@x", "/m/%n/y"},
		{"x@..", "/m/%d/%n"}, {"..x", "/m/%2n/%u"}, {".x", "/m/%1n/%u"}, {".x", "/m/%1n%1n/%u"}, {"a\x00b", "/m/%u"},
		{"..", "/m/.%1u/x"}, {"a@b/../../c", "/m/%{user | domain}"},
	} {
		if got, err := (mdbox.Vars{User: c.user}).ExpandPath(c.template); !errors.Is(err, mdbox.ErrUnsafeName) {
			t.Errorf("user %q in %s: %q, %v; want ErrUnsafeName", c.user, c.template, got, err)
		}
	}
	tmpl, err := mdbox.ParseLocation("mdbox:/m/%u")
	if err != nil {
		t.Fatal(err)
	}
	l, err := tmpl.Resolve(mdbox.Vars{User: "x:INDEX=~:ALT=etc"}, "/")
	if err != nil || l.Root != "/m/x:INDEX=~:ALT=etc" || l.Alt != "" {
		t.Errorf("a user name added parameters: %+v, %v", l, err)
	}
}

func TestResolveLocation(t *testing.T) {
	defaults := mdbox.Location{Format: mdbox.FormatMdbox, Root: "/m/ann", Index: "/m/ann", Control: "/m/ann", VolatileDir: "/m/ann", Layout: mdbox.LayoutFS,
		DirName: "dbox-Mails", MailboxDir: "mailboxes", Subscriptions: "subscriptions", ListIndex: "dovecot.list.index"}
	with := func(change func(*mdbox.Location)) mdbox.Location {
		l := defaults
		change(&l)
		return l
	}
	for s, want := range map[string]mdbox.Location{
		"mdbox:/m/%n":   defaults,
		"mdbox:/m//%n/": defaults,
		"mdbox:/m/%n:":  defaults,
		"mdbox:%n": with(func(l *mdbox.Location) {
			l.Root, l.Index, l.Control, l.VolatileDir = "/base/ann", "/base/ann", "/base/ann", "/base/ann"
		}),
		"mdbox:/m/%n:UTF-8": with(func(l *mdbox.Location) { l.UTF8 = true }),
		"mdbox:/m/%n:INDEX=/i/%u:CONTROL=/c/%n:ALT=~/alt:VOLATILEDIR=/v:INDEXCACHE=/x:INDEXPVT=/p:INBOX=/in": with(func(l *mdbox.Location) {
			l.Index, l.Control, l.Alt, l.VolatileDir, l.IndexCache, l.IndexPrivate, l.Inbox = "/i/ann@x.org", "/c/ann", "/home/ann/alt", "/v", "/x", "/p", "/in"
			l.Volatile = true
		}),
		"sdbox:/m/%n":             with(func(l *mdbox.Location) { l.Format = mdbox.FormatSdbox }),
		"mdbox:/m/%n:INDEX=/i":    with(func(l *mdbox.Location) { l.Index, l.VolatileDir = "/i", "/i" }),
		"mdbox:/m/%n:MAILBOXDIR=": defaults,
		"mdbox:/m/%n:LAYOUT=index:DIRNAME=mail:MAILBOXDIR=mb/:SUBSCRIPTIONS=subs:LISTINDEX=li": with(func(l *mdbox.Location) {
			l.Layout, l.DirName, l.MailboxDir, l.Subscriptions, l.ListIndex = mdbox.LayoutIndex, "mail", "mb", "subs", "li"
		}),
		"mdbox:/m/%n:ALT=/a::b":        with(func(l *mdbox.Location) { l.Alt = "/a:b" }),
		"mdbox:/m/%n:ALT=/%{md5:user}": with(func(l *mdbox.Location) { l.Alt = "/d249273c41f89b03bc92f5bf33fa4b96" }),
	} {
		tmpl, err := mdbox.ParseLocation(s)
		if err != nil {
			t.Error(err)
			continue
		}
		got, err := tmpl.Resolve(mdbox.Vars{User: "ann@x.org", Home: "/home/ann"}, "/base")
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", s, got, err, want)
		}
	}
}

func TestParseLocationErrors(t *testing.T) {
	for s, want := range map[string]string{
		"":                          "must start with",
		"/var/mail":                 "must start with",
		"mdbox:":                    "must start with",
		"mbox:~/mail":               `format "mbox" is not supported`,
		"mdbox::x":                  "must start with",
		"mdbox:/m:INDX=/i":          `unknown parameter "INDX"`,
		"mdbox:/m:INDEX":            "INDEX needs a value",
		"mdbox:/m:INDEX=MEMORY":     "INDEX=MEMORY is not possible",
		"mdbox:/m:LAYOUT=flat":      "LAYOUT must be",
		"mdbox:/m:LAYOUT=maildir++": "not possible with mdbox",
		"mdbox:/m:MAILBOXDIR=../x":  "MAILBOXDIR must be",
		"mdbox:/m:DIRNAME=../x":     "DIRNAME must be a plain name",
		"mdbox:/m:ALT=/a:ALT=/b":    "ALT is given twice",
		"mdbox:/m:UTF-8=yes":        "UTF-8 takes no value",
		"mdbox:/m:BROKENCHAR=x":     "BROKENCHAR is not supported",
	} {
		_, err := mdbox.ParseLocation(s)
		var le *mdbox.LocationError
		if !errors.As(err, &le) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want an error with %q", s, err, want)
		}
	}
	tmpl, err := mdbox.ParseLocation("mdbox:/")
	if err != nil {
		t.Fatal(err)
	}
	if l, err := tmpl.Resolve(mdbox.Vars{}, "/"); err == nil {
		t.Errorf("the root directory became a store: %+v", l)
	}
}

func FuzzLocation(f *testing.F) {
	f.Add("mdbox:~/mdbox:INDEX=/i/%2.1n/%Lu:UTF-8", "ann@example.org")
	f.Add("mdbox:/%{user | substr(-1,2)}:ALT=%{sha1;truncate=8:user}", "..")
	f.Add("mdbox:/%-9.99999999999Nu", "x")
	f.Fuzz(func(t *testing.T, s, user string) {
		tmpl, err := mdbox.ParseLocation(s)
		if err != nil {
			return
		}
		l, err := tmpl.Resolve(mdbox.Vars{User: user, Home: "/home/x", UID: "1", GID: "1"}, "/base")
		if err != nil {
			return
		}
		for _, p := range []string{l.Root, l.Index, l.Control} {
			if !strings.HasPrefix(p, "/") || p == "/" || strings.Contains(p, "\x00") && !strings.Contains(s, "\x00") {
				t.Fatalf("%q for %q: %+v", s, user, l)
			}
		}
	})
}

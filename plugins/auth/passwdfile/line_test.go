package passwdfile

import (
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/roostmail/roost/plugins/sdk/authdb"
)

var testIDs = idLookup{
	uid: func(name string) (string, error) {
		if name == "vmail" {
			return "5000", nil
		}
		return "", errors.New("no such user")
	},
	gid: func(name string) (string, error) {
		if name == "mail" {
			return "8", nil
		}
		return "", errors.New("no such group")
	},
}

func TestParseLine(t *testing.T) {
	tests := []struct {
		name, line string
		want       entry
	}{
		{"all fields", "alice:{PLAIN}pw:65534:65533:Alice:/home/alice:/bin/sh:userdb_quota_rule=*:storage=1G nologin",
			entry{"alice", "{PLAIN}pw", "65534", "65533", "/home/alice", []authdb.Field{{Key: "userdb_quota_rule", Value: "*:storage=1G"}, {Key: "nologin", Value: ""}}}},
		{"user alone", "bob", entry{user: "bob"}},
		{"user and password", "bob:x", entry{user: "bob", password: "x"}},
		{"names of system users", "bob:x:vmail:mail", entry{user: "bob", password: "x", uid: "5000", gid: "8"}},
		{"leading zeroes", "bob:x:0501:", entry{user: "bob", password: "x", uid: "501"}},
		{"spaces between extra fields", "bob:x::::::  a=1   b ", entry{user: "bob", password: "x", extra: []authdb.Field{{Key: "a", Value: "1"}, {Key: "b", Value: ""}}}},
		{"'=' in a value", "bob:x::::::a=b=c", entry{user: "bob", password: "x", extra: []authdb.Field{{Key: "a", Value: "b=c"}}}},
		{"data[34]", "bob:5ebe2294ecd0e0f08eab7690d2a6ee69[34]", entry{user: "bob", password: "{PLAIN-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69"}},
		{"data[56]", "bob:68a5cd10de2f376731e82d32a9b1763a[56]", entry{user: "bob", password: "{DIGEST-MD5}68a5cd10de2f376731e82d32a9b1763a"}},
		{"data[13]", "bob:kBuB1JxjH/6eU[13]", entry{user: "bob", password: "{CRYPT}kBuB1JxjH/6eU"}},
		{"scheme before [34]", "bob:{PLAIN}x[34]", entry{user: "bob", password: "{PLAIN}x[34]"}},
		{"nothing but [34]", "bob:[34]", entry{user: "bob", password: "[34]"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseLine(tt.line, testIDs)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, tt.want)
			}
		})
	}
}

func TestParseLineRefusesIDs(t *testing.T) {
	for line, reason := range map[string]string{
		"bob:secret:0:":          "invalid UID: 0 is not allowed",
		"bob:secret::0":          "invalid GID: 0 is not allowed",
		"bob:secret:root2:":      "invalid UID: no such user",
		"bob:secret:4294967295:": "invalid UID: 4294967295 stands for no one",
		"bob:secret:4294967296:": "invalid UID: not a number",
		"bob:secret:12x:":        "invalid UID: not a number",
		"bob:secret:1:-1":        "invalid GID: no such group",
	} {
		_, err := parseLine(line, testIDs)
		var lineErr *LineError
		if !errors.As(err, &lineErr) || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v, want %q", line, err, reason)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func TestReadTable(t *testing.T) {
	var log strings.Builder
	text := "# comment\n\n:no user\nalice:first\r\nbob:x\nalice:second\ncarol"
	table := readTable("users", text, slog.New(slog.NewTextHandler(&log, nil)))
	for user, want := range map[string]string{"alice": "alice:first", "bob": "bob:x", "carol": "carol"} {
		if got, ok := table.line(user); !ok || got != want {
			t.Errorf("%s: %q, %v, want %q", user, got, ok, want)
		}
	}
	for _, user := range []string{"", "# comment", "no user", "dave"} {
		if got, ok := table.line(user); ok {
			t.Errorf("%q exists: %q", user, got)
		}
	}
	if got := log.String(); !strings.Contains(got, "line=6 user=alice") || strings.Contains(got, "second") {
		t.Errorf("log of the second alice: %s", got)
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add("alice:{PLAIN}pw:65534:65533:Alice:/home/alice:/bin/sh:userdb_quota_rule=*:storage=1G nologin")
	f.Add("bob:kBuB1JxjH/6eU[13]")
	f.Add("bob:[34]:0::::::a==%%%u%{x")
	f.Fuzz(func(t *testing.T, line string) {
		name, ok := lineUser(line)
		if !ok {
			return
		}
		e, err := parseLine(line, testIDs)
		if err != nil {
			return
		}
		if e.user != name {
			t.Errorf("user %q of the line is %q in the table", e.user, name)
		}
		if e.uid == "0" || e.gid == "0" {
			t.Error("UID or GID 0 came through")
		}
	})
}

package sql

import (
	"reflect"
	"strings"
	"testing"

	"github.com/roostmail/roost/plugins/sdk/authdb"
)

func TestParseQuery(t *testing.T) {
	for _, c := range []struct {
		text, want string
		args       []string
	}{
		{"SELECT password FROM users WHERE u = '%u'", "SELECT password FROM users WHERE u = $1", []string{"%u"}},
		{"SELECT p FROM t WHERE n='%n' AND d='%Ld'", "SELECT p FROM t WHERE n=$1 AND d=$2", []string{"%n", "%Ld"}},
		{"SELECT '/home/%d/%n' AS home, 500 AS uid", "SELECT $1 AS home, 500 AS uid", []string{"/home/%d/%n"}},
		{"SELECT 'it''s %u'", "SELECT $1", []string{"it's %u"}},
		{"SELECT 'it''s', \"%u\", `%d` -- %u\n, %u /* %u */", "SELECT 'it''s', \"%u\", `%d` -- %u\n, $1 /* %u */", []string{"%u"}},
		{"WHERE n LIKE 'a%%' AND u = %{user | lower}", "WHERE n LIKE 'a%' AND u = $1", []string{"%{user | lower}"}},
		{"SELECT 7 %% 2", "SELECT 7 % 2", nil},
	} {
		q, err := parseQuery(c.text, dollar)
		if err != nil || q.text != c.want || !reflect.DeepEqual(q.args, c.args) {
			t.Errorf("%s\n got %q %q, %v\nwant %q %q", c.text, q.text, q.args, err, c.want, c.args)
		}
	}
	for _, text := range []string{"SELECT '%u", "SELECT %q", "SELECT '%q'", "SELECT \"x", "SELECT /* x", "SELECT 100%", `SELECT 'it\'s %u'`} {
		if q, err := parseQuery(text, dollar); err == nil {
			t.Errorf("%s: %+v", text, q)
		}
	}
}

// FuzzParseQuery: what a client sends never becomes part of the text, and parameters and placeholders are as many.
func FuzzParseQuery(f *testing.F) {
	f.Add("SELECT p FROM t WHERE n='%n' AND d = %d -- '%u'\n", "a'b@c")
	f.Add("'%%%u''%{user | lower}'", "x")
	f.Add("`%u`\"%u\"/*%u*/%5Lu", "x")
	f.Fuzz(func(t *testing.T, text, user string) {
		q, err := parseQuery(text, func(int) string { return "\x00" })
		if err != nil {
			return
		}
		if n := strings.Count(q.text, "\x00") - strings.Count(text, "\x00"); n > len(q.args) {
			t.Errorf("%d placeholders for %d parameters", n, len(q.args))
		}
		args, err := q.expand(authdb.Vars{User: user})
		if err != nil || len(args) != len(q.args) {
			t.Errorf("%d values for %d parameters: %v", len(args), len(q.args), err)
		}
	})
}

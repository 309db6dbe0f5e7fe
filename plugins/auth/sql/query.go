package sql

import (
	"fmt"
	"strings"

	"github.com/roostmail/roost/plugins/sdk/authdb"
)

// query is a query whose variables are parameters.
type query struct {
	text string   // for the driver
	args []string // templates of the parameters, in their order
}

// placeholder writes the n-th parameter, counted from 1.
type placeholder func(n int) string

func dollar(n int) string { return fmt.Sprintf("$%d", n) } // PostgreSQL

func question(int) string { return "?" } // MySQL, SQLite

// parseQuery turns a query with variables into one with parameters.
//
//	'%u'            a literal with a variable: one parameter, of the literal's text
//	'it''s', "x"    literals without, and quoted names: as they are
//	%u %Lu %{user}  a variable outside of literals: one parameter
//	%%              a percent sign
//	-- and /* */    comments: as they are
func parseQuery(text string, p placeholder) (query, error) {
	var q query
	var out strings.Builder
	bind := func(template string) error {
		if _, err := (authdb.Vars{}).Expand(template); err != nil {
			return err
		}
		q.args = append(q.args, template)
		out.WriteString(p(len(q.args)))
		return nil
	}
	for i := 0; i < len(text); {
		rest := text[i:]
		switch c := text[i]; {
		case c == '\'':
			body, n := literal(rest)
			if n == 0 {
				return query{}, fmt.Errorf("the literal at byte %d does not end", i)
			}
			if strings.Contains(strings.ReplaceAll(body, "%%", ""), "%") {
				if err := bind(body); err != nil {
					return query{}, err
				}
			} else {
				out.WriteString(strings.ReplaceAll(rest[:n], "%%", "%"))
			}
			i += n
		case c == '"' || c == '`':
			end := strings.IndexByte(rest[1:], c)
			if end < 0 {
				return query{}, fmt.Errorf("the quoted name at byte %d does not end", i)
			}
			out.WriteString(rest[:end+2])
			i += end + 2
		case strings.HasPrefix(rest, "--"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			out.WriteString(rest[:end])
			i += end
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest, "*/")
			if end < 0 {
				return query{}, fmt.Errorf("the comment at byte %d does not end", i)
			}
			out.WriteString(rest[:end+2])
			i += end + 2
		case strings.HasPrefix(rest, "%%"):
			out.WriteByte('%')
			i += 2
		case c == '%':
			n := authdb.VariableLen(rest)
			if err := bind(rest[:n]); err != nil {
				return query{}, err
			}
			i += n
		default:
			out.WriteByte(c)
			i++
		}
	}
	q.text = out.String()
	return q, nil
}

// literal returns the text of the string literal at the beginning of s, with two quotes taken as one, and its length in s with
// the quotes; 0 = it does not end. Backslashes are not looked at: one before a quote ends the literal here, and the query is refused by the
// server or means what the standard says; a parameter is never part of the text.
func literal(s string) (body string, n int) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] != '\'' {
			b.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		return b.String(), i + 1
	}
	return "", 0
}

// expand returns the values of the parameters.
func (q query) expand(v authdb.Vars) ([]any, error) {
	args := make([]any, len(q.args))
	for i, template := range q.args {
		s, err := v.Expand(template)
		if err != nil {
			return nil, err
		}
		args[i] = s
	}
	return args, nil
}

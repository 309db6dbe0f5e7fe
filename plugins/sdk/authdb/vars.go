package authdb

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Vars are the values of the variables in paths, extra fields and user name formats.
type Vars struct {
	User    string // %u %{user}; %n %{username} is what precedes the first '@', %d %{domain} what follows it
	Service string // %s %{service} %{protocol}
	Remote  string // %r %{rip} %{remote_ip}
	Local   string // %l %{lip} %{local_ip}
	Home    string // %h %{home}
	Session string // %{session}
}

// VariableError says that a template can not be expanded.
type VariableError struct {
	Template string
	Variable string
	Reason   string
}

func (e *VariableError) Error() string {
	return fmt.Sprintf("%s in %q: %s", e.Variable, e.Template, e.Reason)
}

// Expand replaces the variables of a template, in the syntax of Dovecot 2.3
// (%[width][modifiers]x with the modifiers L, U and T, and %{name}) or 2.4 (%{name | lower | upper}).
// %% is a percent sign. What it does not know is a *VariableError: no login goes on with half of a value.
func (v Vars) Expand(template string) (string, error) { return v.ExpandWith(template, nil) }

// ExpandWith is Expand with each value changed by fix, which escapes it for the place where it ends up; nil = as it is.
func (v Vars) ExpandWith(template string, fix func(string) string) (string, error) {
	var out strings.Builder
	rest := template
	for {
		before, after, ok := strings.Cut(rest, "%")
		out.WriteString(before)
		if !ok {
			return out.String(), nil
		}
		if after != "" && after[0] == '%' {
			out.WriteByte('%')
			rest = after[1:]
			continue
		}
		value, n, reason := v.reference(after)
		if reason != "" {
			return "", &VariableError{template, "%" + after[:n], reason}
		}
		if fix != nil {
			value = fix(value)
		}
		out.WriteString(value)
		rest = after[n:]
	}
}

// reference expands what follows a percent sign. n is its length in s. reason is not empty if it is no variable.
func (v Vars) reference(s string) (value string, n int, reason string) {
	width := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		width = min(width*10+int(s[n]-'0'), 1<<20)
		n++
	}
	var modifiers []func(string) string
	for n < len(s) && modifier[s[n]] != nil {
		modifiers = append(modifiers, modifier[s[n]])
		n++
	}
	if n == len(s) {
		return "", n, "ends in the middle of a variable"
	}
	var name string
	if s[n] == '{' {
		end := strings.IndexByte(s[n:], '}')
		if end < 0 {
			return "", len(s), "lacks its closing brace"
		}
		name = s[n+1 : n+end]
		n += end + 1
	} else {
		name = shortNames[s[n]]
		n++
	}
	name, filters, _ := strings.Cut(name, "|")
	value, ok := v.named(strings.TrimSpace(name))
	if !ok {
		return "", n, "unknown variable"
	}
	if value, reason = applyFilters(value, filters); reason != "" {
		return "", n, reason
	}
	for _, m := range modifiers {
		value = m(value)
	}
	if width > 0 && len(value) > width {
		value = value[:width]
	}
	return value, n, ""
}

var shortNames = map[byte]string{
	'u': "user", 'n': "username", 'd': "domain", 's': "service", 'r': "rip", 'l': "lip", 'h': "home",
}

var modifier = map[byte]func(string) string{
	'L': asciiLower,
	'U': asciiUpper,
	'T': func(s string) string { return strings.TrimRight(s, " \t\r\n") },
}

func (v Vars) named(name string) (string, bool) {
	switch name {
	case "user":
		return v.User, true
	case "username":
		user, _, _ := strings.Cut(v.User, "@")
		return user, true
	case "domain":
		_, domain, _ := strings.Cut(v.User, "@")
		return domain, true
	case "service", "protocol":
		return v.Service, true
	case "rip", "remote_ip":
		return v.Remote, true
	case "lip", "local_ip":
		return v.Local, true
	case "home":
		return v.Home, true
	case "session":
		return v.Session, true
	}
	return "", false
}

// applyFilters runs Dovecot 2.4's filters, separated by '|'.
func applyFilters(value, filters string) (out, reason string) {
	if filters == "" {
		return value, ""
	}
	for _, f := range strings.Split(filters, "|") {
		switch f = strings.TrimSpace(f); f {
		case "lower":
			value = asciiLower(value)
		case "upper":
			value = asciiUpper(value)
		case "username":
			value, _, _ = strings.Cut(value, "@")
		case "domain":
			_, value, _ = strings.Cut(value, "@")
		default:
			return "", "unknown filter " + strconv.Quote(f)
		}
	}
	return value, ""
}

// ExpandPath expands the path of a file. A '/' in a value becomes '|', as in Dovecot, and
// ok is false if the values add an element "." or "..": no login name leads to another directory.
func (v Vars) ExpandPath(template string) (path string, ok bool, err error) {
	path, err = v.ExpandWith(template, func(value string) string {
		return strings.NewReplacer("/", "|", "\x00", "").Replace(value)
	})
	if err != nil {
		return "", false, err
	}
	return path, dots(path) == dots(template), nil
}

// ErrUnsafeName is the error for a value that would lead out of the directory which a template means.
var ErrUnsafeName = errors.New("name is not usable as a part of a path")

// ExpandField is Expand for an extra field of every user. What has a '/' is taken for a path: no value but that of the home directory adds
// a '/', or makes an element "." or "..", which is ErrUnsafeName.
func (v Vars) ExpandField(template string) (string, error) {
	if !strings.Contains(template, "/") {
		return v.Expand(template)
	}
	unsafe, trusted := false, 0
	value, err := v.ExpandWith(template, func(s string) string {
		if s == v.Home {
			trusted += dots(s)
		} else if strings.ContainsAny(s, "/\x00") {
			unsafe = true
		}
		return s
	})
	if err == nil && (unsafe || dots(value) > dots(template)+trusted) {
		err = fmt.Errorf("%w: %q in %q", ErrUnsafeName, v.User, template)
	}
	return value, err
}

// dots counts the elements "." and ".." of a path.
func dots(path string) int {
	n := 0
	for _, element := range strings.Split(path, "/") {
		if element == "." || element == ".." {
			n++
		}
	}
	return n
}

// asciiLower leaves bytes outside of ASCII alone, as Dovecot does.
func asciiLower(s string) string { return mapBytes(s, 'A', 'Z') }

func asciiUpper(s string) string { return mapBytes(s, 'a', 'z') }

// mapBytes changes the case of the letters from first to last.
func mapBytes(s string, first, last byte) string {
	b := []byte(s)
	for i, c := range b {
		if first <= c && c <= last {
			b[i] = c ^ ('a' - 'A')
		}
	}
	return string(b)
}

// VariableLen returns the length of the variable at the beginning of s, which begins with a percent sign; of one that is none, the
// length of what Expand would complain about.
func VariableLen(s string) int {
	_, n, _ := Vars{}.reference(s[1:])
	return 1 + n
}

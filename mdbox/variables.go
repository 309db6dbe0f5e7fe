package mdbox

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Vars are the values of the variables in a mail_location and in other paths.
//
// User is the login name. Home may be empty: then a path that needs it is an error.
// UID and GID are the decimal numbers that the mailbox is accessed with, for %i,
// %{uid} and %{gid}.
type Vars struct {
	User string
	Home string
	UID  string
	GID  string
}

// ErrUnsafeName is returned when a user or domain name would leave the directory
// that the administrator's template meant: it holds '/' or NUL, or makes a path
// element "." or "..".
var ErrUnsafeName = errors.New("mdbox: name is not usable as a part of a path")

// VariableError says that a template names a variable, filter or modifier that
// does not exist, or whose value is not known.
type VariableError struct {
	Template string
	Variable string // as written, "%q" or "%{nope}"
	Reason   string // "unknown variable", "home directory is not known", …
}

func (e *VariableError) Error() string {
	return fmt.Sprintf("mdbox: %s in %q: %s", e.Variable, e.Template, e.Reason)
}

// ExpandPath replaces the variables of a path template.
//
// Both syntaxes are understood: that of Dovecot 2.3, %[[offset].][width][modifiers]x
// and %{name} (dovecot src/lib/var-expand.c), and that of 2.4, %{name | filter | …}.
// A leading "~/" is the home directory. Values other than the home directory and %{env:…}
// must be plain names (ErrUnsafeName), so that no login name can point outside of the template's
// directory. Unknown variables are a *VariableError, not left as they are.
func (v Vars) ExpandPath(template string) (string, error) {
	e := expansion{template: template, vars: v}
	if rest, ok := strings.CutPrefix(template, "~/"); ok || template == "~" {
		home, err := e.home("~")
		if err != nil {
			return "", err
		}
		e.out = append(e.out, strings.TrimSuffix(home, "/")...)
		if ok {
			e.out = append(e.out, '/')
		}
		template = rest
		if !ok {
			template = ""
		}
	}
	if err := e.run(template); err != nil {
		return "", err
	}
	return string(e.out), nil
}

// expansion is one run over a template.
type expansion struct {
	template string
	vars     Vars
	out      []byte
	element  int  // where in out the path element that is being built starts
	variable bool // the element holds something from a variable
}

func (e *expansion) run(s string) error {
	e.element = len(e.out)
	for len(s) > 0 {
		switch c := s[0]; c {
		case '%':
			rest, err := e.reference(s)
			if err != nil {
				return err
			}
			s = rest
			continue
		case '/':
			if err := e.endElement(); err != nil {
				return err
			}
			e.out = append(e.out, c)
			e.element, e.variable = len(e.out), false
		default:
			e.out = append(e.out, c)
		}
		s = s[1:]
	}
	return e.endElement()
}

func (e *expansion) endElement() error {
	if el := string(e.out[e.element:]); e.variable && (el == "." || el == "..") {
		return fmt.Errorf("%w: %q in %q", ErrUnsafeName, el, e.template)
	}
	return nil
}

// reference expands the reference at the start of s and returns what follows it.
func (e *expansion) reference(s string) (rest string, err error) {
	if strings.HasPrefix(s, "%%") {
		e.out = append(e.out, '%')
		return s[2:], nil
	}
	spec, n := parseSpec(s[1:])
	name := s[1+n:]
	if name == "" {
		return "", e.errorf(s, "ends in the middle of a variable")
	}
	var text, value string
	if name[0] == '{' {
		end := strings.IndexByte(name, '}')
		if end < 0 {
			return "", e.errorf(s, "lacks its closing brace")
		}
		text, rest = s[:1+n+end+1], name[end+1:]
		value, err = e.long(text, name[1:end])
	} else {
		text, rest = s[:1+n+1], name[1:]
		value, err = e.short(text, name[0])
	}
	if err != nil {
		return "", err
	}
	return rest, e.add(text, spec.apply(value))
}

// add appends a value, which must not start new path elements unless it is the home directory.
func (e *expansion) add(text, value string) error {
	trusted := strings.HasPrefix(text, "%{env:") || text == "%h" || text == "%{home}"
	if strings.IndexByte(value, 0) >= 0 || !trusted && strings.IndexByte(value, '/') >= 0 {
		return fmt.Errorf("%w: value of %s in %q", ErrUnsafeName, text, e.template)
	}
	e.out = append(e.out, value...)
	e.variable = e.variable || !trusted
	return nil
}

func (e *expansion) short(text string, c byte) (string, error) {
	switch c {
	case 'u':
		return e.vars.User, nil
	case 'n':
		return userPart(e.vars.User), nil
	case 'd':
		return domainPart(e.vars.User), nil
	case 'h':
		return e.home(text)
	case 'i':
		return e.number(text, e.vars.UID)
	}
	return "", e.errorf(text, "unknown variable")
}

// long expands the inside of %{…}: a name, Dovecot 2.3's "function:name", or 2.4's pipeline.
func (e *expansion) long(text, inner string) (string, error) {
	parts := strings.Split(inner, "|")
	name := strings.TrimSpace(parts[0])
	value, err := e.named(text, name)
	if err != nil {
		return "", err
	}
	p := pipeline{value: value}
	for _, f := range parts[1:] {
		if why := p.filter(strings.TrimSpace(f)); why != "" {
			return "", e.errorf(text, why)
		}
	}
	return p.text(), nil
}

func (e *expansion) named(text, name string) (string, error) {
	switch name {
	case "user":
		return e.vars.User, nil
	case "username":
		return userPart(e.vars.User), nil
	case "domain":
		return domainPart(e.vars.User), nil
	case "home":
		return e.home(text)
	case "uid":
		return e.number(text, e.vars.UID)
	case "gid":
		return e.number(text, e.vars.GID)
	case "hostname":
		return os.Hostname()
	}
	function, arg, ok := strings.Cut(name, ":")
	switch {
	case ok && function == "env":
		return os.Getenv(arg), nil
	case ok:
		return e.hashed(text, function, arg)
	}
	return "", e.errorf(text, "unknown variable")
}

// hashed is Dovecot 2.3's %{sha256;truncate=32:user}.
func (e *expansion) hashed(text, function, arg string) (string, error) {
	value, err := e.named(text, arg)
	if err != nil {
		return "", err
	}
	name, options, _ := strings.Cut(function, ";")
	p := pipeline{value: value}
	if digests[name] == nil {
		return "", e.errorf(text, "unknown variable or hash")
	}
	if why := p.filter(name); why != "" {
		return "", e.errorf(text, why)
	}
	if bits, ok := strings.CutPrefix(options, "truncate="); ok {
		if why := p.truncateBits(bits); why != "" {
			return "", e.errorf(text, why)
		}
	} else if options != "" {
		return "", e.errorf(text, "unknown hash option "+options)
	}
	return p.text(), nil
}

func (e *expansion) home(text string) (string, error) {
	if e.vars.Home == "" {
		return "", e.errorf(text, "the user's home directory is not known")
	}
	return e.vars.Home, nil
}

func (e *expansion) number(text, value string) (string, error) {
	if value == "" {
		return "", e.errorf(text, "value is not known")
	}
	return value, nil
}

func (e *expansion) errorf(text, reason string) error {
	return &VariableError{Template: e.template, Variable: text, Reason: reason}
}

// userPart is %n: the user name without its domain.
func userPart(user string) string {
	name, _, _ := strings.Cut(user, "@")
	return name
}

// domainPart is %d: what follows the first '@', or nothing.
func domainPart(user string) string {
	_, domain, _ := strings.Cut(user, "@")
	return domain
}

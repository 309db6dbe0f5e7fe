package passwdfile

import (
	"os/user"
	"strconv"
	"strings"

	"github.com/roostmail/roost/plugins/sdk/authdb"
)

// entry is one parsed line.
type entry struct {
	user     string
	password string // with scheme, data[NN] resolved; "" = none
	uid, gid string // decimal, "" = none
	home     string
	extra    []authdb.Field // in the order of the line, values not expanded
}

// LineError says what is wrong with a user's line. It shows no password.
type LineError struct {
	User   string
	Reason string
}

func (e *LineError) Error() string { return "user " + strconv.Quote(e.User) + ": " + e.Reason }

// lineUser returns the user whose line this is, or false for a line without user.
func lineUser(line string) (string, bool) {
	if line == "" || line[0] == '#' || line[0] == ':' {
		return "", false
	}
	name, _, _ := strings.Cut(line, ":")
	return name, true
}

// parseLine parses the line of a user. ids translates the names of system users and groups.
// It returns a *LineError if the UID or GID can not be used.
func parseLine(line string, ids idLookup) (entry, error) {
	parts := strings.SplitN(line, ":", 8)
	parts = append(parts, make([]string, 8-len(parts))...)
	e := entry{user: parts[0], password: pamPassword(parts[1]), home: parts[5]}
	var err error
	if e.uid, err = parseID(parts[2], ids.uid); err != nil {
		return entry{}, &LineError{e.user, "invalid UID: " + err.Error()}
	}
	if e.gid, err = parseID(parts[3], ids.gid); err != nil {
		return entry{}, &LineError{e.user, "invalid GID: " + err.Error()}
	}
	for _, word := range strings.FieldsFunc(parts[7], func(r rune) bool { return r == ' ' }) {
		key, value, _ := strings.Cut(word, "=")
		e.extra = append(e.extra, authdb.Field{Key: key, Value: value})
	}
	return e, nil
}

// pamPassword translates data[NN] of libpam-pwdfile into {SCHEME}data.
func pamPassword(p string) string {
	n := len(p)
	if n <= 4 || p[0] == '{' || p[0] == '$' || p[n-1] != ']' || p[n-4] != '[' {
		return p
	}
	switch data := p[:n-4]; p[n-3 : n-1] {
	case "34":
		return "{PLAIN-MD5}" + data
	case "56":
		return "{DIGEST-MD5}" + data
	default:
		return "{CRYPT}" + data
	}
}

// idLookup finds the numbers of system users and groups.
type idLookup struct {
	uid, gid func(name string) (string, error)
}

var systemIDs = idLookup{
	uid: func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	},
	gid: func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	},
}

// idError is why a UID or GID is refused.
type idError string

func (e idError) Error() string { return string(e) }

// parseID returns the decimal number that s is or names. 0 is refused: mail is never read as root.
func parseID(s string, lookup func(string) (string, error)) (string, error) {
	if s == "" {
		return "", nil
	}
	if s[0] < '0' || s[0] > '9' {
		var err error
		if s, err = lookup(s); err != nil {
			return "", err
		}
	}
	n, err := strconv.ParseUint(s, 10, 32)
	switch {
	case err != nil:
		return "", idError("not a number of 32 bits or a name")
	case n == 0:
		return "", idError("0 is not allowed")
	case n == 1<<32-1:
		return "", idError("4294967295 stands for no one")
	}
	return strconv.FormatUint(n, 10), nil
}

package dovecot

import (
	"slices"
	"strings"
)

// maxLine is the longest line that Dovecot reads from a client, in bytes; of a userdb socket, maxUserdbLine.
const (
	maxLine       = 16 << 10
	maxUserdbLine = 1 << 10
)

var escaper = strings.NewReplacer("\x00", "\x010", "\x01", "\x011", "\t", "\x01t", "\r", "\x01r", "\n", "\x01n")

// escape makes s fit for a field.
func escape(s string) string { return escaper.Replace(s) }

// unescape undoes escape. An escape that does not exist stands for its second byte.
func unescape(s string) string {
	if strings.IndexByte(s, 1) < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == 1 && i+1 < len(s) {
			i++
			switch c = s[i]; c {
			case '0':
				c = 0
			case '1':
				c = 1
			case 't':
				c = '\t'
			case 'r':
				c = '\r'
			case 'n':
				c = '\n'
			}
		}
		b = append(b, c)
	}
	return string(b)
}

// reply is a line that answers a request.
type reply struct {
	verb   string   // OK, FAIL, CONT, USER, NOTFOUND …
	fields []string // what follows the number, unescaped
}

// params returns the fields "key=value" and "key".
func (r reply) params() map[string]string {
	m := map[string]string{}
	for _, f := range r.fields {
		if key, value, _ := strings.Cut(f, "="); key != "" {
			m[key] = value
		}
	}
	return m
}

// verbs are those of answers; others are Dovecot's announcements.
var verbs = []string{"OK", "FAIL", "CONT", "USER", "NOTFOUND"}

// parseLine splits a line. ok is false for one that is no answer to a request.
func parseLine(line string) (id string, r reply, ok bool) {
	parts := strings.Split(line, "\t")
	if len(parts) < 2 || !slices.Contains(verbs, parts[0]) {
		return "", reply{}, false
	}
	for i := range parts {
		parts[i] = unescape(parts[i])
	}
	return parts[1], reply{verb: parts[0], fields: parts[2:]}, true
}

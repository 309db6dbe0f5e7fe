package acl

import (
	"fmt"
	"strings"
)

// Rights is a set of rights (RFC 4314 §2.1).
type Rights uint16

// Rights, in the order in which Dovecot tells them.
const (
	Lookup       Rights = 1 << iota // l
	Read                            // r
	Write                           // w
	WriteSeen                       // s
	WriteDeleted                    // t
	Insert                          // i
	Post                            // p
	Expunge                         // e
	Create                          // k
	Delete                          // x
	Admin                           // a

	All Rights = 1<<iota - 1
)

// letters has the letter of each right, names its name in files, and filed all rights in the order of their names.
const letters = "lrwstipekxa"

var (
	names = [...]string{"lookup", "read", "write", "write-seen", "write-deleted", "insert", "post", "expunge", "create", "delete", "admin"}
	filed = [...]Rights{Admin, Create, Delete, Expunge, Insert, Lookup, Post, Read, Write, WriteDeleted, WriteSeen}
)

// String returns the letters of the rights.
func (r Rights) String() string {
	var b []byte
	for i := range len(letters) {
		if r&(1<<i) != 0 {
			b = append(b, letters[i])
		}
	}
	return string(b)
}

// Filed returns the letters of the rights in the order in which Dovecot writes them to files.
func (r Rights) Filed() string {
	var b []byte
	for _, x := range filed {
		if r&x != 0 {
			b = append(b, x.String()...)
		}
	}
	return string(b)
}

// parseRights reads what stands behind an identifier. Names that are no right of IMAP are returned.
func parseRights(s string) (r Rights, others []string, err error) {
	s = strings.TrimLeft(s, " \t")
	end := strings.IndexAny(s, " \t:")
	if end < 0 {
		end = len(s)
	}
	for _, c := range []byte(s[:end]) {
		i := strings.IndexByte(letters, c)
		if i < 0 {
			return 0, nil, fmt.Errorf("unknown right %q", c)
		}
		r |= 1 << i
	}
	s = strings.TrimLeft(s[end:], " \t")
	if s == "" {
		return r, nil, nil
	}
	if s[0] != ':' {
		return 0, nil, fmt.Errorf("no ':' before the names of rights")
	}
next:
	for name := range strings.FieldsFuncSeq(s[1:], func(c rune) bool { return c == ' ' || c == ',' || c == '\t' }) {
		for i, known := range names {
			if name == known {
				r |= 1 << i
				continue next
			}
		}
		others = append(others, name)
	}
	return r, others, nil
}

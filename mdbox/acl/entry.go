package acl

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Kind is a kind of identifier.
type Kind uint8

// Kinds, from the one that counts least.
const (
	Anyone Kind = iota
	Authenticated
	Group
	Owner
	User
	GroupOverride
)

// Entry is what is said of one identifier.
type Entry struct {
	Kind Kind
	ID   string // of a group or user
	// Positive and Negative say whether there is a line that gives rights, and one that takes some away. Without rights it is a line all the same.
	Positive, Negative         bool
	Rights, NegativeRights     Rights
	otherRights, otherNegative []string // names of rights that are none of IMAP
}

// Same reports whether both are of one identifier.
func (e *Entry) Same(o *Entry) bool { return e.Kind == o.Kind && e.ID == o.ID }

// Decode reads a dovecot-acl, whose entries are returned sorted, one for each identifier. The error is a *vfs.CorruptError without path.
func Decode(b []byte) ([]Entry, error) {
	var list []Entry
	err := eachLine(b, func(line string) error {
		e, err := parseLine(line)
		if err == nil {
			list = Merge(list, e)
		}
		return err
	})
	return list, err
}

// eachLine calls f for each line that is no comment.
func eachLine(b []byte, f func(line string) error) error {
	number := 0
	for raw := range bytes.Lines(b) {
		number++
		line := strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r")
		if line == "" || line[0] == '#' {
			continue
		}
		if err := f(line); err != nil {
			return vfs.Corrupt(0, "acl: line %d: %v", number, err)
		}
	}
	return nil
}

// parseLine reads a line that is no comment.
func parseLine(line string) (e Entry, err error) {
	id, rest, err := cutWord(line)
	if err != nil {
		return e, err
	}
	rights, others, err := parseRights(rest)
	if err != nil {
		return e, err
	}
	id, negative := strings.CutPrefix(id, "-")
	if negative {
		e.Negative, e.NegativeRights, e.otherNegative = true, rights, others
	} else {
		e.Positive, e.Rights, e.otherRights = true, rights, others
	}
	return e, e.parseID(id)
}

// cutWord cuts the first word off a line, which may be quoted.
func cutWord(line string) (word, rest string, err error) {
	if !strings.HasPrefix(line, `"`) {
		word, rest, _ = strings.Cut(line, " ")
		return word, rest, nil
	}
	var b []byte
	for i := 1; i < len(line); i++ {
		switch line[i] {
		case '\\':
			if i++; i < len(line) {
				b = append(b, line[i])
			}
			continue
		case '"':
			rest = line[i+1:]
			if rest != "" && rest[0] != ' ' {
				return "", "", fmt.Errorf("something follows the closing quote at once")
			}
			return string(b), strings.TrimPrefix(rest, " "), nil
		}
		b = append(b, line[i])
	}
	return "", "", fmt.Errorf("a quote is not closed")
}

var prefixes = map[Kind]string{Group: "group=", User: "user=", GroupOverride: "group-override="}

func (e *Entry) parseID(id string) error {
	switch id {
	case "anyone", "anonymous":
		e.Kind = Anyone
		return nil
	case "authenticated":
		e.Kind = Authenticated
		return nil
	case "owner":
		e.Kind = Owner
		return nil
	}
	for kind, prefix := range prefixes {
		if rest, ok := strings.CutPrefix(id, prefix); ok {
			e.Kind, e.ID = kind, rest
			return nil
		}
	}
	return fmt.Errorf("unknown identifier %q", id)
}

// String returns the identifier as it stands in files.
func (e *Entry) String() string {
	switch e.Kind {
	case Anyone:
		return "anyone"
	case Authenticated:
		return "authenticated"
	case Owner:
		return "owner"
	}
	return prefixes[e.Kind] + e.ID
}

// Merge adds e to the entry of its identifier, or as a new one to a sorted list.
func Merge(list []Entry, e Entry) []Entry {
	i, found := slices.BinarySearchFunc(list, &e, func(x Entry, e *Entry) int { return compare(&x, e) })
	if !found {
		return slices.Insert(list, i, e)
	}
	x := &list[i]
	x.Positive, x.Negative = x.Positive || e.Positive, x.Negative || e.Negative
	x.Rights, x.NegativeRights = x.Rights|e.Rights, x.NegativeRights|e.NegativeRights
	x.otherRights = append(x.otherRights, e.otherRights...)
	x.otherNegative = append(x.otherNegative, e.otherNegative...)
	return list
}

func compare(a, b *Entry) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID))
}

// Append appends the file with the entries to b: the inverse of Decode.
func Append(b []byte, list []Entry) []byte {
	for i := range list {
		e := &list[i]
		if e.Positive {
			b = appendLine(b, e.String(), e.Rights, e.otherRights)
		}
		if e.Negative {
			b = appendLine(b, "-"+e.String(), e.NegativeRights, e.otherNegative)
		}
	}
	return b
}

func appendLine(b []byte, id string, r Rights, others []string) []byte {
	if strings.Contains(id, " ") {
		b = append(b, '"')
		for _, c := range []byte(id) {
			if c == '"' || c == '\\' {
				b = append(b, '\\')
			}
			b = append(b, c)
		}
		b = append(b, '"')
	} else {
		b = append(b, id...)
	}
	b = append(append(b, ' '), r.Filed()...)
	if len(others) > 0 {
		b = append(append(b, " :"...), strings.Join(others, " ")...)
	}
	return append(b, '\n')
}

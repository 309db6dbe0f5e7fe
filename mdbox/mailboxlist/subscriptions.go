package mailboxlist

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"

	"github.com/roostmail/roost/mdbox/vfs"
)

// File subscriptions (dovecot src/lib-storage/list/subscription-file.c):
//
//	version 2:  "V" TAB "2" LF LF, then a line for each name: its levels'
//	            storage names, separated by TAB, escaped
//	version 1:  a line for each name: its storage name, levels separated as the layout does, '.' in Maildir++, else '/'
//
// Lines may end in CRLF.
//
// Escapes in version 2: 01 '1' = 01, 01 't' = TAB, 01 'n' = LF, 01 'r' = CR, 01 '0' = NUL.
// The names need not exist.
const subscriptionsV2 = "V\t2\n\n"

// DefaultMaxSubscriptions bounds the size of the file subscriptions, in bytes.
const DefaultMaxSubscriptions = 16 << 20

// Subscriptions is the content of the file subscriptions.
type Subscriptions struct {
	Version int      // 1 or 2; a writer keeps it
	Names   []string // storage names, levels separated by '/', in file order
}

// DecodeSubscriptions decodes a whole file; sep separates the levels in version 1. Empty lines are skipped. An empty file has version 2.
func DecodeSubscriptions(b []byte, sep byte) (*Subscriptions, error) {
	s := &Subscriptions{Version: 2}
	body, v2 := bytes.CutPrefix(b, []byte(subscriptionsV2))
	if !v2 && len(b) > 0 {
		s.Version = 1
	}
	for len(body) > 0 {
		line := body
		if i := bytes.IndexByte(body, '\n'); i >= 0 {
			line, body = body[:i], body[i+1:]
		} else {
			body = nil
		}
		start := int64(len(b) - len(body) - len(line) - 1)
		if line = cutCR(line); len(line) == 0 {
			continue
		}
		name := levels(line, sep)
		if v2 {
			var ok bool
			if name, ok = unescapeLevels(line); !ok {
				return nil, vfs.Corrupt(start, "escapes in subscriptions are 01 and one of 1trn0")
			}
		} else if bytes.IndexByte(line, '\t') >= 0 {
			return nil, vfs.Corrupt(start, "subscriptions have version 2, or names without TAB")
		}
		s.Names = append(s.Names, name)
	}
	return s, nil
}

// cutCR removes the CR of a line end. A name has none.
func cutCR(line []byte) []byte { return bytes.TrimRight(line, "\r") }

// levels turns a line of version 1 into a storage name.
func levels(line []byte, sep byte) string { return strings.ReplaceAll(string(line), string(sep), "/") }

// unescapeLevels turns a line of version 2 into a storage name.
func unescapeLevels(line []byte) (string, bool) {
	out := make([]byte, 0, len(line))
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case '\t':
			out = append(out, '/')
		case 0x01:
			i++
			if i == len(line) {
				return "", false
			}
			j := strings.IndexByte("1trn0", line[i])
			if j < 0 {
				return "", false
			}
			out = append(out, "\x01\t\r\n\x00"[j])
		default:
			out = append(out, c)
		}
	}
	return string(out), true
}

// Append appends the file; sep separates the levels in version 1.
func (s *Subscriptions) Append(b []byte, sep byte) []byte {
	if s.Version == 2 {
		b = append(b, subscriptionsV2...)
	}
	for _, name := range s.Names {
		b = append(appendSubscription(b, name, sep, s.Version == 2), '\n')
	}
	return b
}

func appendLevels(b []byte, name string) []byte {
	for i := range len(name) {
		c := name[i]
		if c == '/' {
			b = append(b, '\t')
		} else if j := strings.IndexByte("\x01\t\r\n\x00", c); j >= 0 {
			b = append(b, 0x01, "1trn0"[j])
		} else {
			b = append(b, c)
		}
	}
	return b
}

// ReadSubscriptions reads the file at path; sep separates the levels in version 1. If it does not exist, nothing is subscribed.
func ReadSubscriptions(fsys vfs.FS, path string, sep byte) (*Subscriptions, error) {
	b, err := vfs.ReadFile(fsys, path, DefaultMaxSubscriptions)
	if errors.Is(err, fs.ErrNotExist) {
		return &Subscriptions{Version: 2}, nil
	}
	if err != nil {
		return nil, err
	}
	s, err := DecodeSubscriptions(b, sep)
	return s, vfs.At(err, path, 0)
}

// Decoded returns the names as clients know them, without duplicates, and those
// that are not storage names of codec.
func (s *Subscriptions) Decoded(codec Codec) (names, invalid []string) {
	seen := make(map[string]bool, len(s.Names))
	for _, storage := range s.Names {
		name, err := codec.Name(storage)
		if err != nil {
			invalid = append(invalid, storage)
			continue
		}
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names, invalid
}

package users

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"strings"
)

// The encoding of userdb fields. It depends on the name of the user that they belong to, and is the same for equal
// fields of one user:
//
//	1 byte            mode
//	for each field, in order of the keys:
//	uvarint, bytes    the key
//	uvarint, bytes    the value; with modeMarks, a mark stands for the user's name or a part of it
const (
	modePlain = 0
	modeMarks = 1
)

// Marks: the whole name, and what is before and after the first '@' in it.
const (
	markName   = 1
	markLocal  = 2
	markDomain = 3
	anyMark    = "\x01\x02\x03"
)

var errFields = errors.New("users: damaged fields")

// encodeFields appends fields to b.
func encodeFields(b []byte, user string, fields map[string]string) []byte {
	keys := make([]string, 0, len(fields))
	mode := byte(modeMarks)
	for k, v := range fields {
		keys = append(keys, k)
		if strings.ContainsAny(v, anyMark) {
			mode = modePlain
		}
	}
	if user == "" || strings.ContainsAny(user, anyMark) {
		mode = modePlain
	}
	slices.Sort(keys)
	b = append(b, mode)
	for _, k := range keys {
		v := fields[k]
		if mode == modeMarks {
			v = mark(v, user)
		}
		b = append(binary.AppendUvarint(b, uint64(len(k))), k...)
		b = append(binary.AppendUvarint(b, uint64(len(v))), v...)
	}
	return b
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumOf returns a checksum of what makes a user: nobody becomes another one because memory that outlives a process was damaged.
func sumOf(name string, fields []byte) uint16 {
	s := crc32.Checksum(fields, castagnoli)
	s = crc32.Update(s, castagnoli, []byte(name))
	return uint16(s) ^ uint16(s>>16)
}

// mark puts marks in the place of the name.
func mark(v, user string) string {
	v = strings.ReplaceAll(v, user, string(rune(markName)))
	local, domain, ok := strings.Cut(user, "@")
	if ok && local != "" && domain != "" {
		v = strings.ReplaceAll(v, local, string(rune(markLocal)))
		v = strings.ReplaceAll(v, domain, string(rune(markDomain)))
	}
	return v
}

// decodeFields is the inverse of encodeFields; nil for no fields. What it returns holds on to one string for all fields.
func decodeFields(b []byte, user string) (map[string]string, error) {
	if len(b) == 0 || b[0] > modeMarks {
		return nil, errFields
	}
	marks := b[0] == modeMarks
	var fields map[string]string
	for rest := string(b[1:]); len(rest) > 0; {
		var k, v string
		var ok bool
		if k, rest, ok = cutText(rest); !ok {
			return nil, errFields
		}
		if v, rest, ok = cutText(rest); !ok {
			return nil, errFields
		}
		if marks {
			v = unmark(v, user)
		}
		if fields == nil {
			fields = map[string]string{}
		}
		fields[k] = v
	}
	return fields, nil
}

// unmark is the inverse of mark.
func unmark(v, user string) string {
	i := strings.IndexAny(v, anyMark)
	if i < 0 {
		return v
	}
	local, domain, _ := strings.Cut(user, "@")
	var b strings.Builder
	b.Grow(len(v) + len(user))
	for ; i >= 0; i = strings.IndexAny(v, anyMark) {
		b.WriteString(v[:i])
		switch v[i] {
		case markName:
			b.WriteString(user)
		case markLocal:
			b.WriteString(local)
		case markDomain:
			b.WriteString(domain)
		}
		v = v[i+1:]
	}
	b.WriteString(v)
	return b.String()
}

// cutText takes a length and as many bytes off the front of s.
func cutText(s string) (text, rest string, ok bool) {
	var size uint64
	for i := range min(len(s), binary.MaxVarintLen64) {
		size |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			if s = s[i+1:]; size > uint64(len(s)) {
				return "", "", false
			}
			return s[:size], s[size:], true
		}
	}
	return "", "", false
}

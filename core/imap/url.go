package imap

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/message"
)

// messageURL is an IMAP URL that names a message or a part of one (RFC 5092 §6, §11): [mailbox [";UIDVALIDITY=" n] "/"] ";UID=" n
// ["/;SECTION=" section] ["/;PARTIAL=" offset ["." length]] (the latter is URL-PARTIAL, RFC 5550 §2.2).
type messageURL struct {
	mailbox     string // UTF-8, as decoded; "" = the selected one
	rooted      bool   // it began with "/"
	uidValidity uint32 // 0 = any
	uid         uint32
	section     message.Section
	partial     bool
	offset      uint64
	length      uint64 // 0 = to the end
}

// errURL says that a URL is not one of these.
var errURL = errors.New("imap: not the URL of a message")

// parseMessageURL reads a URL without scheme and server.
func parseMessageURL(s string) (*messageURL, error) {
	u := &messageURL{}
	path, isRooted := strings.CutPrefix(s, "/")
	u.rooted = isRooted
	if strings.Contains(s, "//") {
		return nil, errURL // RFC 4469 §3: one with a server
	}
	for _, c := range []byte(s) {
		if !urlChars[c] {
			return nil, errURL
		}
	}
	box, command := "", path
	if i := strings.Index(path, "/;"); i >= 0 && !strings.HasPrefix(path, ";") {
		box, command = path[:i], path[i+1:]
	}
	if err := u.setMailbox(box); err != nil || isRooted && u.mailbox == "" {
		return nil, errURL
	}
	for i, part := range strings.Split(command, "/;") {
		if i > 0 {
			part = ";" + part
		}
		name, value, ok := strings.Cut(part, "=")
		value, err := unescapeURL(value)
		if !ok || err != nil || !u.set(i, strings.ToUpper(name), value) {
			return nil, errURL
		}
	}
	return u, nil
}

// setMailbox takes enc-mailbox [uidvalidity].
func (u *messageURL) setMailbox(s string) (err error) {
	name, validity, ok := strings.Cut(s, ";")
	if ok {
		key, value, _ := strings.Cut(validity, "=")
		if u.uidValidity, ok = number32(value); !ok || !strings.EqualFold(key, "UIDVALIDITY") || name == "" {
			return errURL
		}
	}
	u.mailbox, err = unescapeURL(name)
	if !utf8.ValidString(u.mailbox) || strings.ContainsAny(u.mailbox, "\r\n\x00") {
		return errURL
	}
	return err
}

// set takes the i-th part behind the mailbox.
func (u *messageURL) set(i int, name, value string) (ok bool) {
	switch {
	case i == 0 && name == ";UID":
		u.uid, ok = number32(value)
	case i == 1 && name == ";SECTION":
		d := imapwire.NewDecoder([]byte("["+value+"]"), imapwire.DefaultLimits)
		it, _ := parseSection(&d)
		d.End()
		u.section, ok = it.section, d.OK() && !it.partial
	case i > 0 && name == ";PARTIAL" && !u.partial:
		offset, length, bounded := strings.Cut(value, ".")
		u.partial = true
		var err error
		if u.offset, err = strconv.ParseUint(offset, 10, 63); err != nil {
			return false
		}
		if bounded {
			if u.length, err = strconv.ParseUint(length, 10, 63); err != nil || u.length == 0 {
				return false
			}
		}
		ok = true
	}
	return ok
}

func number32(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && n > 0
}

// unescapeURL decodes %XX.
func unescapeURL(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", errURL
		}
		c, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", errURL
		}
		b.WriteByte(byte(c))
		i += 2
	}
	return b.String(), nil
}

// urlChars are the characters that may stand in a URL (RFC 5092 §11: bchar, and what separates).
var urlChars = func() (t [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$'()*+,;&=%:@/") {
		t[c] = true
	}
	return t
}()

package mailboxlist

import (
	"errors"
	"fmt"
	"strings"
)

// Limits of names, as Dovecot has them (src/lib-storage/mailbox-list.h). It makes mailboxes of any number of levels.
const (
	maxPart  = 255  // bytes of one level's storage name
	maxName  = 4096 // bytes of the whole name, UTF-8
	maxLevel = (maxName + 1) / 2
)

// Inbox is the name of the mailbox that clients may call so in any case (RFC 3501 §5.1). In a store inbox and Inbox are other names.
const Inbox = "INBOX"

// NameError says why a mailbox name is not possible. Its text may be shown to a client.
type NameError struct {
	Name   string
	Reason string
}

func (e *NameError) Error() string { return fmt.Sprintf("mailbox name %q %s", e.Name, e.Reason) }

// Codec converts between the names of mailboxes and their storage names, the
// path below mailboxes/.
type Codec struct {
	UTF8 bool   // storage names are UTF-8 (option UTF-8, mailbox_list_utf8)
	Dir  string // DIRNAME, a level that no mailbox can have; empty = "dbox-Mails"
}

func (c Codec) dirName() string {
	if c.Dir == "" {
		return "dbox-Mails"
	}
	return c.Dir
}

// Storage returns the storage name, levels separated by '/'. The error is a
// *NameError. A valid storage name can be joined to a directory safely.
func (c Codec) Storage(name string) (string, error) {
	if len(name) > maxName {
		return "", &NameError{name[:maxPart], fmt.Sprintf("has more than %d bytes", maxName)}
	}
	var out []byte
	for part := range strings.SplitSeq(name, "/") {
		if len(out) > 0 {
			out = append(out, '/')
		}
		start := len(out)
		var err error
		if out, err = c.appendPart(out, part); err == nil {
			err = c.check(string(out[start:]))
		}
		if err != nil {
			return "", &NameError{name, err.Error()}
		}
	}
	return string(out), nil
}

// appendPart appends the storage name of one level.
func (c Codec) appendPart(dst []byte, part string) ([]byte, error) {
	if c.UTF8 {
		if strings.ToValidUTF8(part, "") != part {
			return dst, errUTF8
		}
		return append(dst, part...), nil
	}
	return AppendUTF7(dst, part)
}

// check holds the rules about the storage name of one level.
func (c Codec) check(part string) error {
	switch {
	case part == "":
		return errors.New("has an empty level")
	case part == "." || part == "..":
		return fmt.Errorf("has a level %q", part)
	case part[0] == '~':
		return errors.New("has a level that starts with ~")
	case part == c.dirName():
		return fmt.Errorf("has the reserved level %q", part)
	case len(part) > maxPart:
		return fmt.Errorf("has a level of more than %d bytes", maxPart)
	case strings.ContainsAny(part, "/\x00"):
		return errors.New("has a level with / or NUL")
	case strings.ContainsAny(part, "\r\n\t"):
		return errors.New("has a level with a line end or TAB")
	}
	return nil
}

// CheckNew refuses a name that a mailbox may have, but that none is given, as Dovecot does (src/lib-storage/mail-storage.c,
// mailbox_create): one with control characters. The error is a *NameError.
func CheckNew(name string) error {
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
		return &NameError{name, "has control characters"}
	}
	return nil
}

// Name returns the name of a storage name, levels separated by '/'. It accepts
// only what Storage makes: otherwise the mailbox could be listed and not opened.
func (c Codec) Name(storage string) (string, error) {
	var out []byte
	for i, part := range strings.Split(storage, "/") {
		if i > 0 {
			out = append(out, '/')
		}
		name, err := c.PartName(part)
		if err != nil {
			return "", err
		}
		out = append(out, name...)
	}
	return string(out), nil
}

// PartName is Name for one level.
func (c Codec) PartName(part string) (string, error) {
	name := part
	if !c.UTF8 {
		b, err := AppendFromUTF7(nil, part)
		if err != nil {
			return "", &NameError{part, err.Error()}
		}
		name = string(b)
	}
	back, err := c.appendPart(nil, name)
	if err == nil {
		err = c.check(string(back))
	}
	if err == nil && string(back) != part {
		err = errors.New("is not the storage name of any mailbox")
	}
	if err != nil {
		return "", &NameError{part, err.Error()}
	}
	return name, nil
}

package dump

import (
	"bytes"
	"regexp"
	"strconv"

	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/vfs"
)

// The small text files of a store: subscriptions and dovecot-uidvalidity.

func isSubscriptionsName(base string) bool { return base == "subscriptions" }

func isSubscriptions(head []byte) bool { return bytes.HasPrefix(head, []byte("V\t2\n\n")) }

func dumpSubscriptions(p *printer, f vfs.File) error {
	b, err := readAll(f)
	if err != nil {
		return err
	}
	s, err := mailboxlist.DecodeSubscriptions(b, '/')
	if err != nil {
		return err
	}
	start := 0
	if s.Version == 2 {
		start = len("V\t2\n\n")
		p.field(0, start, "version", "%d", s.Version)
	}
	names := s.Names
	for off := start; off < len(b) && len(names) > 0; {
		line := b[off:]
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i+1]
		}
		if len(line) > 1 || line[0] != '\n' {
			p.field(int64(off), len(line), "subscribed", "%s", strconv.QuoteToGraphic(names[0]))
			names = names[1:]
		}
		off += len(line)
	}
	return nil
}

var uidValidityName = regexp.MustCompile(`^dovecot-uidvalidity(\.[0-9a-f]{8})?$`)

func isUIDValidityName(base string) bool { return uidValidityName.MatchString(base) }

// dumpUIDValidity writes the value; the file with the value in its name is empty.
func dumpUIDValidity(p *printer, f vfs.File) error {
	b, err := readAll(f)
	if err != nil || len(b) == 0 {
		return err
	}
	v, err := mailboxlist.DecodeUIDValidity(b)
	if err != nil {
		return err
	}
	p.field(0, len(b), "uidvalidity", "%d", v)
	return nil
}

package imap

import (
	"slices"
	"strings"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
)

// systemFlags are those that clients may set (RFC 3501 §2.3.2); \Recent is not one of them.
var systemFlags = []struct {
	name string // in upper case
	bit  uint8
}{
	{`\ANSWERED`, backend.FlagAnswered},
	{`\FLAGGED`, backend.FlagFlagged},
	{`\DELETED`, backend.FlagDeleted},
	{`\SEEN`, backend.FlagSeen},
	{`\DRAFT`, backend.FlagDraft},
}

// storedFlags reads a flag-list (RFC 3501 §9) as flags that are to be stored. A keyword that is there twice, in whatever
// case, counts once. System flags that do not exist, and \Recent, are an error, as in Dovecot.
func (r *request) storedFlags() (flags uint8, keywords []string) {
	r.d.List(func() { flags, keywords = r.storedFlag(flags, keywords) })
	return flags, keywords
}

// storedFlag reads one flag and adds it to others.
func (r *request) storedFlag(flags uint8, keywords []string) (uint8, []string) {
	at := r.d.Pos()
	name := r.d.Flag()
	switch {
	case !r.d.OK():
	case name[0] == '\\':
		for _, f := range systemFlags {
			if imapwire.EqualFold(name, f.name) {
				return flags | f.bit, keywords
			}
		}
		r.d.FailAt(at, "invalid system flag "+string(name))
	case !slices.ContainsFunc(keywords, func(k string) bool { return strings.EqualFold(k, string(name)) }):
		keywords = append(keywords, string(name))
	}
	return flags, keywords
}

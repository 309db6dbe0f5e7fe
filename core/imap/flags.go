package imap

import (
	"fmt"
	"slices"
	"strings"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
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

// checkKeywords refuses keywords that are longer than the server allows.
func (r *request) checkKeywords(keywords []string) error {
	longest := r.srv.cfg.KeywordLength
	for _, name := range keywords {
		if longest > 0 && len(name) > longest {
			return no("CANNOT", fmt.Sprintf("Keyword length exceeds [limits] keyword_length = %d.", longest))
		}
	}
	return nil
}

// spellAs spells keywords as a mailbox has them already: case makes no difference (RFC 3501 §2.3.2).
func spellAs(v *mailbox.View, keywords []string) {
	for i, name := range keywords {
		if k := v.Keyword(name); k >= 0 {
			keywords[i] = v.Keywords[k]
		}
	}
}

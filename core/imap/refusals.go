package imap

import (
	"strings"
	"sync/atomic"
)

// refusals counts what a setting has refused, for the settings that have no other count. All of them are counted in one place: an answer
// that refuses names the setting.
type refusals [len(refusingLimits)]atomic.Uint64

// refusingLimits are these settings, under [limits].
var refusingLimits = [...]string{"nesting", "list_items", "keyword_length", "metadata_value", "sort_memory", "search_mailboxes", "mailbox_journal"}

// note looks whether the text of a NO, BAD or BYE names one of them.
func (c *refusals) note(text string) {
	_, after, named := strings.Cut(text, "[limits] ")
	for i := 0; named && i < len(refusingLimits); i++ {
		if strings.HasPrefix(after, refusingLimits[i]) {
			c[i].Add(1)
			return
		}
	}
}

// Refused returns how many commands were refused, and for mailbox_journal sessions ended, because of settings under [limits] that Stats does not
// count, by their names.
func (srv *Server) Refused() map[string]uint64 { return srv.refused.counts() }

// counts returns the numbers by setting.
func (c *refusals) counts() map[string]uint64 {
	m := make(map[string]uint64, len(refusingLimits))
	for i, name := range refusingLimits {
		m[name] = c[i].Load()
	}
	return m
}

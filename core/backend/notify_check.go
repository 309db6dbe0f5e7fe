package backend

import (
	"fmt"
	"strings"
)

// maxChangeName is the most bytes of each name in a MailboxChange.
const maxChangeName = 4096

// Check returns the rule that the batch breaks, or nil.
func (b *ChangeBatch) Check() error {
	if len(b.Changes) == 0 {
		return fmt.Errorf("a batch without changes")
	}
	return checkChanges(b.Changes)
}

// Check returns the rule that what was heard breaks, or nil.
func (h *Heard) Check() error { return checkChanges(h.Changes) }

func checkChanges(cs []MailboxChange) error {
	if len(cs) > MaxChanges {
		return fmt.Errorf("%d changes are more than %d", len(cs), MaxChanges)
	}
	for i := range cs {
		if err := cs[i].check(); err != nil {
			return fmt.Errorf("change %d: %w", i, err)
		}
	}
	return nil
}

func (c *MailboxChange) check() error {
	for _, n := range []struct{ field, value string }{
		{"user", c.User}, {"namespace", c.Namespace}, {"mailbox", c.Mailbox}, {"old_mailbox", c.OldMailbox}, {"node", c.Node},
	} {
		if len(n.value) > maxChangeName || strings.ContainsRune(n.value, 0) {
			return fmt.Errorf("%s is longer than %d bytes, or has a zero byte", n.field, maxChangeName)
		}
	}
	switch {
	case c.User == "" || c.Mailbox == "":
		return fmt.Errorf("neither user nor mailbox may be empty")
	case c.Kinds&ChangeRenamed != 0 && c.OldMailbox == "":
		return fmt.Errorf("renamed, but old_mailbox is empty")
	case c.State != nil && (c.State.UIDValidity == 0 || c.State.UIDNext == 0 || c.State.HighestModSeq == 0):
		return fmt.Errorf("uid_validity, uid_next and highest_modseq of a state are not 0")
	}
	return nil
}

package check

import (
	"fmt"
	"slices"
	"strings"
)

// Repair is something that Rebuild did, or could not do.
type Repair struct {
	File    string `json:"file,omitempty"` // path, "" = none
	What    string `json:"what"`
	Mailbox string `json:"mailbox,omitempty"`
	UID     uint32 `json:"uid,omitempty"`
	Lost    bool   `json:"lost"` // something is gone for good
}

// String returns one line for an administrator.
func (r Repair) String() string {
	var b strings.Builder
	if r.Lost {
		b.WriteString("lost: ")
	} else {
		b.WriteString("repaired: ")
	}
	if r.File != "" {
		b.WriteString(r.File + ": ")
	}
	b.WriteString(r.What)
	if r.Mailbox != "" {
		fmt.Fprintf(&b, " (mailbox %s", r.Mailbox)
		if r.UID != 0 {
			fmt.Fprintf(&b, ", UID %d", r.UID)
		}
		b.WriteByte(')')
	}
	return b.String()
}

// Repairs is what Rebuild did, in order.
type Repairs struct {
	Found *Report  `json:"found"` // what was wrong before
	Done  []Repair `json:"done"`
	// Messages that mailboxes have got back, and such that are gone.
	Restored     int `json:"restored"`
	LostMessages int `json:"lost_messages"`
}

// Changed reports whether anything was repaired.
func (r *Repairs) Changed() bool { return len(r.Done) > 0 }

// Lost reports whether something is gone for good.
func (r *Repairs) Lost() bool {
	return slices.ContainsFunc(r.Done, func(d Repair) bool { return d.Lost })
}

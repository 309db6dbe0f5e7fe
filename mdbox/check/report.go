package check

import (
	"errors"
	"fmt"
	"strings"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Kind says what a finding means.
type Kind uint8

// Kinds of findings.
const (
	// Damage: something is lost or wrong, or will be read wrong.
	Damage Kind = iota
	// Leftover: a process ended in the middle of something. Nothing that it acknowledged is concerned, and whoever comes next
	// makes it right without being told.
	Leftover
	// Unverified: it changed too often to be looked at.
	Unverified
)

func (k Kind) String() string { return [...]string{"damage", "leftover", "not verified"}[k] }

// MarshalText implements encoding.TextMarshaler.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Finding is something that was found.
type Finding struct {
	Kind    Kind   `json:"kind"`
	File    string `json:"file"`              // path
	Offset  int64  `json:"offset"`            // bytes from the start of File; -1: the file as a whole
	Rule    string `json:"rule"`              // what should be, or is
	Mailbox string `json:"mailbox,omitempty"` // that is concerned, "" = none or several
	UID     uint32 `json:"uid,omitempty"`     // of the message that is concerned, 0 = none

	torn   int64 // bytes of an unfinished write at the end of a log
	orphan bool  // a message that no mailbox has, although the map counts references
	size   bool  // the index notes a wrong size of the message
}

// String returns one line for an administrator.
func (f Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: %s", f.Kind, f.File)
	if f.Offset >= 0 {
		fmt.Fprintf(&b, ": offset %d", f.Offset)
	}
	fmt.Fprintf(&b, ": %s", f.Rule)
	if f.Mailbox != "" {
		fmt.Fprintf(&b, " (mailbox %s", f.Mailbox)
		if f.UID != 0 {
			fmt.Fprintf(&b, ", UID %d", f.UID)
		}
		b.WriteByte(')')
	}
	return b.String()
}

// maxFindings bounds the findings that a report lists.
const maxFindings = 10_000

// Report is the result of a verification.
type Report struct {
	Findings []Finding `json:"findings"`
	More     int       `json:"more"` // findings that Findings has no room for
	// What was looked at.
	Mailboxes int   `json:"mailboxes"`
	Files     int   `json:"files"`
	Messages  int   `json:"messages"`
	Bytes     int64 `json:"bytes"` // of mail files
}

// Clean reports whether nothing is damaged.
func (r *Report) Clean() bool {
	for _, f := range r.Findings {
		if f.Kind == Damage {
			return false
		}
	}
	return r.More == 0
}

// append adds the findings of o.
func (r *Report) append(o *Report) {
	for _, f := range o.Findings {
		r.add(f)
	}
	r.More += o.More
}

func (r *Report) add(f Finding) {
	if len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, f)
		return
	}
	r.More++
}

// damage adds err as damage. The place is that of the *vfs.CorruptError in its chain, else file.
func (r *Report) damage(err error, file, mailbox string, uid uint32) {
	f := Finding{File: file, Offset: -1, Rule: err.Error(), Mailbox: mailbox, UID: uid}
	var c *vfs.CorruptError
	if errors.As(err, &c) {
		f.Rule = c.Rule
		f.Offset = c.Offset
		if c.File != "" {
			f.File = c.File
		}
	}
	r.add(f)
}

package pluginrpc

import (
	"errors"
	"fmt"
	"strings"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// Lists of mailboxes on the wire (roost.storage.v1.ListMailboxesResponse): as two columns, which take one allocation for all names, or as a
// message for each mailbox, for callers that know nothing else, and for mailboxes that the columns have no place for.

const (
	attributeNoSelect    = byte(storagev1.MailboxAttribute_MAILBOX_ATTRIBUTE_NO_SELECT)
	attributeNonExistent = byte(storagev1.MailboxAttribute_MAILBOX_ATTRIBUTE_NON_EXISTENT)
	attributeNoInferiors = byte(storagev1.MailboxAttribute_MAILBOX_ATTRIBUTE_NO_INFERIORS)
	attributeSubscribed  = byte(storagev1.MailboxAttribute_MAILBOX_ATTRIBUTE_SUBSCRIBED)
	knownAttributes      = attributeNoSelect | attributeNonExistent | attributeNoInferiors | attributeSubscribed
)

// sendMailboxes sends a list in responses of about listBytes.
func sendMailboxes(list []backend.MailboxInfo, columns bool, send func(*storagev1.ListMailboxesResponse) error) error {
	for len(list) > 0 {
		resp := &storagev1.ListMailboxesResponse{}
		if columns {
			list = takeColumns(resp, list)
		}
		if resp.Names == "" {
			list = takeMessages(resp, list, columns)
		}
		if err := send(resp); err != nil {
			return err
		}
	}
	return nil
}

// inColumns reports whether columns have a place for a mailbox.
func inColumns(m *backend.MailboxInfo) bool {
	return m.SpecialUse == "" && strings.IndexByte(m.Name, 0) < 0
}

// takeColumns puts the start of list into columns, and returns the rest.
func takeColumns(resp *storagev1.ListMailboxesResponse, list []backend.MailboxInfo) []backend.MailboxInfo {
	n, bytes := 0, 0
	for n < len(list) && bytes < listBytes && inColumns(&list[n]) {
		bytes += len(list[n].Name) + 1
		n++
	}
	var names strings.Builder
	names.Grow(bytes)
	resp.Attributes = make([]byte, n)
	for i := range list[:n] {
		m := &list[i]
		names.WriteString(utf8Text(m.Name))
		names.WriteByte(0)
		resp.Attributes[i] = attributesOf(m)
	}
	resp.Names = names.String()
	return list[n:]
}

func attributesOf(m *backend.MailboxInfo) (a byte) {
	if m.NoSelect {
		a |= attributeNoSelect
	}
	if m.NonExistent {
		a |= attributeNonExistent
	}
	if m.NoInferiors {
		a |= attributeNoInferiors
	}
	if m.Subscribed {
		a |= attributeSubscribed
	}
	return a
}

// takeMessages puts the start of list into messages, and returns the rest. mixed: it ends where columns are possible again.
func takeMessages(resp *storagev1.ListMailboxesResponse, list []backend.MailboxInfo, mixed bool) []backend.MailboxInfo {
	n, bytes := 0, 0
	for n < len(list) && bytes < listBytes && !(mixed && inColumns(&list[n])) {
		m := &list[n]
		resp.Mailboxes = append(resp.Mailboxes, &storagev1.MailboxInfo{
			Name:        utf8Text(m.Name),
			NoSelect:    m.NoSelect,
			NonExistent: m.NonExistent,
			NoInferiors: m.NoInferiors,
			Subscribed:  m.Subscribed,
			SpecialUse:  utf8Text(m.SpecialUse),
		})
		bytes += len(m.Name) + 16
		n++
	}
	return list[n:]
}

// mailboxJoiner puts a list together, and checks it.
type mailboxJoiner struct {
	s     *Storage
	begun bool // there was a response
	kept  int  // see client.keep
	list  []backend.MailboxInfo
}

// add takes a response.
func (j *mailboxJoiner) add(r *storagev1.ListMailboxesResponse) error {
	switch {
	case len(r.Mailboxes) == 0 && r.Names == "" && j.begun:
		return j.lie(errors.New("response without mailboxes"))
	case len(r.Mailboxes) != 0 && r.Names != "":
		return j.lie(errors.New("mailboxes and names in one response"))
	case strings.Count(r.Names, "\x00") != len(r.Attributes) || r.Names != "" && r.Names[len(r.Names)-1] != 0:
		return j.lie(fmt.Errorf("column names of %d bytes with %d NULs for %d attributes", len(r.Names), strings.Count(r.Names, "\x00"), len(r.Attributes)))
	}
	j.begun = true
	for _, m := range r.Mailboxes {
		if err := j.put(backend.MailboxInfo{
			Name:        m.GetName(),
			NoSelect:    m.GetNoSelect(),
			NonExistent: m.GetNonExistent(),
			NoInferiors: m.GetNoInferiors(),
			Subscribed:  m.GetSubscribed(),
			SpecialUse:  m.GetSpecialUse(),
		}); err != nil {
			return err
		}
	}
	names := r.Names
	for _, a := range r.Attributes {
		if a&^knownAttributes != 0 {
			return j.lie(fmt.Errorf("unknown attribute bits 0x%02x", a&^knownAttributes))
		}
		var name string
		name, names, _ = strings.Cut(names, "\x00")
		if err := j.put(backend.MailboxInfo{
			Name:        name,
			NoSelect:    a&attributeNoSelect != 0,
			NonExistent: a&attributeNonExistent != 0,
			NoInferiors: a&attributeNoInferiors != 0,
			Subscribed:  a&attributeSubscribed != 0,
		}); err != nil {
			return err
		}
	}
	return nil
}

// put adds a mailbox.
func (j *mailboxJoiner) put(m backend.MailboxInfo) error {
	n := len(j.list)
	switch {
	case n > 0 && m.Name <= j.list[n-1].Name:
		return j.lie(fmt.Errorf("name %q after %q", m.Name, j.list[n-1].Name))
	case m.Name == "":
		return j.lie(errors.New("empty name"))
	case n == j.s.limits.MaxMailboxes:
		return j.s.tooMany(fmt.Sprintf("more mailboxes than [limits] plugin_max_mailboxes = %d", n))
	}
	if err := j.s.keep(&j.kept, len(m.Name)+len(m.SpecialUse)); err != nil {
		return err
	}
	j.list = append(j.list, m)
	return nil
}

func (j *mailboxJoiner) lie(err error) error { return j.s.lie("ListMailboxes", err) }

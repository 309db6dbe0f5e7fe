package mdbox

import (
	"strings"
	"testing"

	"github.com/roostmail/roost/core/backend"
)

// TestNameOfAnotherMailbox: when somebody else deletes a mailbox and makes one of that name, the next call of any kind finds it.
func TestNameOfAnotherMailbox(t *testing.T) {
	opts := map[string]any{"mail_location": "mdbox:" + t.TempDir() + "/mdbox"}
	ours, theirs := configured(t, opts), configured(t, opts)
	box, from := backend.MailboxRef{User: testUser, Name: "box"}, backend.MailboxRef{User: testUser, Name: "from"}
	add := func(s *Storage, m backend.MailboxRef) error {
		text := "Subject: x\r\n\r\ntext\r\n"
		_, err := s.Append(t.Context(), &backend.AppendRequest{Mailbox: m, Messages: []backend.AppendMessage{{Size: uint64(len(text)), Body: strings.NewReader(text)}}})
		return err
	}
	if err := ours.CreateMailbox(t.Context(), from); err != nil {
		t.Fatal(err)
	}
	if err := add(ours, from); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Append": func() error { return add(ours, box) },
		"Open":   func() error { _, err := ours.Open(t.Context(), box); return err },
		"Copy": func() error {
			_, err := ours.Copy(t.Context(), &backend.CopyRequest{Mailbox: from, UIDs: []uint32{1}, Destination: box})
			return err
		},
		"Status": func() error {
			list, err := ours.Status(t.Context(), testUser, "", []string{"box"}, backend.StatusMessages)
			if err == nil && list[0].Err != nil {
				err = list[0].Err
			}
			return err
		},
	} {
		if err := theirs.CreateMailbox(t.Context(), box); err != nil {
			t.Fatal(err)
		}
		if err := add(ours, box); err != nil { // the mailbox is kept
			t.Fatal(err)
		}
		if err := theirs.DeleteMailbox(t.Context(), box); err != nil {
			t.Fatal(err)
		}
		if err := theirs.CreateMailbox(t.Context(), box); err != nil {
			t.Fatal(err)
		}
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := theirs.DeleteMailbox(t.Context(), box); err != nil {
			t.Fatal(err)
		}
	}
}

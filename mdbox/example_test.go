package mdbox_test

import (
	"bytes"
	"fmt"
	"log"
	"os"

	"github.com/roostmail/roost/mdbox"
)

// Lists the subjects of all messages of a store.
func Example() {
	location, err := mdbox.ParseLocation("mdbox:../testdata/%n/tiny/mdbox")
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.Getwd()
	if err != nil {
		log.Fatal(err)
	}
	where, err := location.Resolve(mdbox.Vars{User: "dovecot-2.3@example.org"}, dir)
	if err != nil {
		log.Fatal(err)
	}
	store := mdbox.New(where, mdbox.Options{})
	defer store.Close()
	mailboxes, _, err := store.Mailboxes()
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range mailboxes {
		if m.NoSelect || m.NonExistent {
			continue
		}
		if err := printSubjects(store, m.Name); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// Drafts: 0 messages
	// INBOX: 4 messages
	//   1 Subject: plain
	//   2 Subject: =?utf-8?b?R3LDvMOfZQ==?= 2
	//   3 Subject: no line end at the end
	//   4 Subject: =?utf-8?b?R3LDvMOfZQ==?= 4
	// Junk: 0 messages
	// Sent: 0 messages
}

func printSubjects(store *mdbox.Store, name string) error {
	mailbox, err := store.OpenMailbox(name)
	if err != nil {
		return err
	}
	snapshot, err := mailbox.Snapshot()
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d messages\n", name, len(snapshot.Messages.UIDs))
	messages, err := mailbox.Messages(snapshot.Messages.UIDs, "Subject")
	if err != nil {
		return err
	}
	defer messages.Close()
	for messages.Next() {
		subject, err := messages.Message().AppendFields(nil)
		if err != nil {
			return err
		}
		fmt.Printf("  %d %s\n", messages.Message().UID(), bytes.TrimSpace(subject))
	}
	return messages.Err()
}

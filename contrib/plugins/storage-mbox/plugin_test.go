package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk/plugintest"
)

func TestMain(m *testing.M) {
	plugintest.Main(m, func() backend.Plugin { return &plugin{} })
}

const sample = "From jane@example.org Tue Mar  3 10:00:00 2026\nFrom: jane@example.org\nTo: joe@example.org\nSubject: first\n of all\nStatus: RO\n\nHello\n>From me\n>>From you\n\n" +
	"From joe@example.org Wed Mar  4 11:30:00 2026\r\nFrom: joe@example.org\r\nSubject: second\r\n\r\nNo start: From here\r\n\r\n" +
	"From jim@example.org Wed Mar  4 11:30:01 2026\nSubject: third\n\n"

// write makes an mbox file of the user jane, with a large message at its end, and returns the option path.
func write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	large := "\nFrom jim@example.org Wed Mar  4 12:00:00 2026\nSubject: large\n\n" + strings.Repeat("0123456789abcdef\n", 10_000)
	if err := os.WriteFile(filepath.Join(dir, "jane.mbox"), []byte(sample+large), 0o600); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "%u.mbox")
}

func TestConformance(t *testing.T) {
	plugintest.Storage(t, plugintest.StorageFixture{
		New:     func() backend.Plugin { return &plugin{} },
		Config:  backend.Config{Options: map[string]any{"path": write(t)}},
		User:    &backend.User{Name: "jane"},
		Mailbox: "INBOX",
	})
}

func TestParse(t *testing.T) {
	f := parse([]byte(sample))
	want := []message{
		{text: []byte("From: jane@example.org\r\nTo: joe@example.org\r\nSubject: first\r\n of all\r\nStatus: RO\r\n\r\nHello\r\nFrom me\r\n>From you\r\n"), date: 1772532000, seen: true},
		{text: []byte("From: joe@example.org\r\nSubject: second\r\n\r\nNo start: From here\r\n"), date: 1772623800},
		{text: []byte("Subject: third\r\n\r\n"), date: 1772623801},
	}
	if len(f.messages) != len(want) {
		t.Fatalf("%d messages, want %d", len(f.messages), len(want))
	}
	for i, m := range f.messages {
		if string(m.text) != string(want[i].text) || m.date != want[i].date || m.seen != want[i].seen || len(m.guid) != 32 {
			t.Errorf("message %d: %q, %d, %v, %q", i, m.text, m.date, m.seen, m.guid)
		}
	}
}

// TestGrows: messages that are appended are told of, and a file that was replaced is another mailbox.
func TestGrows(t *testing.T) {
	path := write(t)
	p := plugintest.Connect(t, &plugin{}, backend.Config{Options: map[string]any{"path": path}}).(backend.Storage)
	ref := backend.MailboxRef{User: &backend.User{Name: "jane"}, Name: "INBOX"}
	before, err := p.Open(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	file := strings.ReplaceAll(path, "%u", "jane")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(b, "\nFrom x@example.org Thu Mar  5 10:00:00 2026\nSubject: new\n\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := p.Changes(t.Context(), ref, before.Position)
	if err != nil || c.Reset != nil || len(c.Appended.UIDs) != 1 || c.Appended.UIDs[0] != uint32(before.UIDNext) {
		t.Errorf("Changes after a message was appended: %+v, %v", c, err)
	}
	if err := os.WriteFile(file, []byte("From other@example.org Thu Mar  5 10:00:00 2026\nSubject: other\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err = p.Changes(t.Context(), ref, before.Position); err != nil || c.Reset == nil || c.Reset.UIDValidity == before.UIDValidity {
		t.Errorf("Changes after the file was replaced: %+v, %v", c, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("From \n\nFrom \n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		parsed := parse(data)
		for _, m := range parsed.messages {
			if strings.Count(string(m.text), "\n") != strings.Count(string(m.text), "\r\n") {
				t.Errorf("a line end is not CRLF in %q", m.text)
			}
			fields(header(m.text), []string{"subject"})
		}
		if parsed.validity == 0 {
			t.Error("UIDVALIDITY is 0")
		}
	})
}

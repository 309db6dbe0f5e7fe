package mdbox

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox/mdboxtest/writer"
)

// BenchmarkWake opens and reads mailboxes of users of whom nothing is in memory any more: what a command costs
// that comes in a session which has slept for long.
func BenchmarkWake(b *testing.B) {
	const users = 200
	dir := b.TempDir()
	for i := range users {
		w := writer.New(b, filepath.Join(dir, fmt.Sprint(i))).Mailbox("INBOX")
		w.EnableModSeqs()
		w.Append(backend.FlagSeen, []byte("From: a@example.org\r\nSubject: x\r\n\r\nhello\r\n"), []byte("From: b@example.org\r\n\r\nhello\r\n"))
		w.WriteIndex()
	}
	s := New(slog.New(slog.DiscardHandler))
	if err := s.Configure(context.Background(), backend.Config{Options: map[string]any{
		"mail_location": "mdbox:" + dir + "/%u", "max_open_mailboxes": int64(users / 4), "max_open_stores": int64(users / 4)}}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := backend.MailboxRef{User: &backend.User{Name: fmt.Sprint(i % users)}, Name: "INBOX"}
		snap, err := s.Open(context.Background(), r)
		if err != nil || len(snap.Messages.UIDs) != 2 {
			b.Fatal(snap, err)
		}
	}
}

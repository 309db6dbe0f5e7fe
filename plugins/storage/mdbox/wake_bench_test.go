package mdbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox/mdboxtest/writer"
)

// BenchmarkWake opens and reads mailboxes of users of whom nothing is in memory any more: what a command costs
// that comes in a session which has slept for long. The mail is that of the process, or of a user whose identity it takes.
func BenchmarkWake(b *testing.B) {
	b.Run("owner=process", func(b *testing.B) { benchmarkWake(b, os.Getuid(), os.Getgid()) })
	if os.Getuid() == 0 { // nobody else can take it
		b.Run("owner=other", func(b *testing.B) { benchmarkWake(b, 2001, 2001) })
	}
}

func benchmarkWake(b *testing.B, uid, gid int) {
	const users = 200
	dir, err := os.MkdirTemp("", "wake") // b.TempDir is in a directory that other users may not enter
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	for i := range users {
		w := writer.New(b, filepath.Join(dir, fmt.Sprint(i))).Mailbox("INBOX")
		w.EnableModSeqs()
		w.Append(backend.FlagSeen, []byte("From: a@example.org\r\nSubject: x\r\n\r\nhello\r\n"), []byte("From: b@example.org\r\n\r\nhello\r\n"))
		w.WriteIndex()
	}
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, uid, gid))
	})
	if err != nil {
		b.Fatal(err)
	}
	s := New(slog.New(slog.DiscardHandler))
	if err := s.Configure(context.Background(), backend.Config{Options: map[string]any{
		"mail_location": "mdbox:" + dir + "/%u", "mail_uid": fmt.Sprint(uid), "mail_gid": fmt.Sprint(gid),
		"max_open_mailboxes": int64(users / 4), "max_open_stores": int64(users / 4)}}); err != nil {
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

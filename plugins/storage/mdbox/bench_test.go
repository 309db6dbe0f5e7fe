package mdbox

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox/mdboxtest/writer"
)

var envelopeFields = []string{"Date", "Subject", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "In-Reply-To", "Message-ID"}

const benchMessages = 100_000

// bigMailbox writes INBOX with benchMessages messages, all of whose envelope fields
// are cached, and returns the plugin for it.
func bigMailbox(b *testing.B) *Storage {
	b.Helper()
	root := b.TempDir()
	w := writer.New(b, root).Mailbox("INBOX")
	w.EnableModSeqs()
	w.Cache(envelopeFields...)
	body := strings.Repeat("The quick brown fox jumps over the lazy dog.\r\n", 20)
	for n := 0; n < benchMessages; n += 1000 {
		msgs := make([][]byte, 1000)
		for i := range msgs {
			k := n + i
			msgs[i] = fmt.Appendf(nil, "Return-Path: <sender%d@example.org>\r\nFrom: Sender %d <sender%d@example.org>\r\n"+
				"To: Recipient <rcpt@example.org>, second%d@example.net\r\nCc: list%d@example.com\r\nSubject: message %d about %d\r\n"+
				"Date: Thu, %d Feb 2024 09:00:00 +0100\r\nMessage-ID: <msg-%d@example.org>\r\nIn-Reply-To: <msg-%d@example.org>\r\n\r\n%s",
				k, k%977, k%977, k%13, k%7, k, k%501, 1+k%28, k, k/2, body)
		}
		w.Append(backend.FlagSeen, msgs...)
	}
	w.Keyword("$Work", false, 1, benchMessages/2)
	w.WriteIndex()
	s := New(slog.New(slog.DiscardHandler))
	if err := s.Configure(context.Background(), backend.Config{Options: map[string]any{"mail_location": "mdbox:" + root}}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

func open(b *testing.B, s *Storage) *backend.Snapshot {
	b.Helper()
	snap, err := s.Open(context.Background(), ref("INBOX"))
	if err != nil {
		b.Fatal(err)
	}
	if len(snap.Messages.UIDs) != benchMessages {
		b.Fatalf("%d messages", len(snap.Messages.UIDs))
	}
	return snap
}

// counter is a sink that only counts.
type counter struct {
	messages, damaged int
	bytes             int64
}

func (c *counter) Message(m *backend.FetchedMessage) error {
	c.messages++
	if m.Err != nil {
		c.damaged++
	}
	c.bytes += int64(len(m.HeaderFields) + len(m.BodyStructure))
	return nil
}

func (c *counter) Body(p []byte) error {
	c.bytes += int64(len(p))
	return nil
}

func benchFetch(b *testing.B, s *Storage, r backend.FetchRequest) {
	r.Mailbox = ref("INBOX")
	r.UIDs = open(b, s).Messages.UIDs
	b.ReportAllocs()
	var c counter
	for b.Loop() {
		if err := s.Fetch(context.Background(), &r, &c); err != nil {
			b.Fatal(err)
		}
	}
	if c.messages != b.N*benchMessages || c.damaged > 0 {
		b.Fatalf("%d messages, %d damaged", c.messages, c.damaged)
	}
	b.ReportMetric(float64(c.messages)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(c.bytes)/1e6/b.Elapsed().Seconds(), "MB/s")
}

// benchLearn fetches when there is no cache file, which is written then.
func benchLearn(b *testing.B, s *Storage, r backend.FetchRequest) {
	r.Mailbox = ref("INBOX")
	r.UIDs = open(b, s).Messages.UIDs
	_, p, err := s.locate(testUser, "")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var c counter
	for b.Loop() {
		b.StopTimer()
		s.stores.mailboxes.forget(mailboxKey{p, "INBOX"})
		if err := os.Remove(filepath.Join(p.location.Root, "mailboxes", "INBOX", "dbox-Mails", "dovecot.index.cache")); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := s.Fetch(context.Background(), &r, &c); err != nil {
			b.Fatal(err)
		}
	}
	if c.messages != b.N*benchMessages || c.damaged > 0 {
		b.Fatalf("%d messages, %d damaged", c.messages, c.damaged)
	}
	b.ReportMetric(float64(c.messages)/b.Elapsed().Seconds(), "msg/s")
}

func BenchmarkOpen(b *testing.B) {
	s := bigMailbox(b)
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			_, p, err := s.locate(testUser, "")
			if err != nil {
				b.Fatal(err)
			}
			s.stores.mailboxes.forget(mailboxKey{p, "INBOX"})
			open(b, s)
		}
	})
	b.Run("warm", func(b *testing.B) {
		for b.Loop() {
			open(b, s)
		}
	})
}

func BenchmarkChanges(b *testing.B) {
	s := bigMailbox(b)
	snap := open(b, s)
	b.Run("none", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c, err := s.Changes(context.Background(), ref("INBOX"), snap.Position)
			if err != nil || string(c.Position) != string(snap.Position) {
				b.Fatal(c, err)
			}
		}
	})
}

func BenchmarkFetch(b *testing.B) {
	s := bigMailbox(b)
	b.Run("envelope", func(b *testing.B) { benchFetch(b, s, backend.FetchRequest{HeaderFields: envelopeFields}) })
	b.Run("all", func(b *testing.B) {
		benchFetch(b, s, backend.FetchRequest{HeaderFields: envelopeFields, Items: backend.FetchSize | backend.FetchInternalDate | backend.FetchBodyStructure})
	})
	b.Run("uncached header", func(b *testing.B) { benchFetch(b, s, backend.FetchRequest{HeaderFields: []string{"Return-Path"}}) })
	b.Run("body", func(b *testing.B) { benchFetch(b, s, backend.FetchRequest{Items: backend.FetchBody}) })
	// Last: they replace the cache.
	b.Run("learn envelope", func(b *testing.B) { benchLearn(b, s, backend.FetchRequest{HeaderFields: envelopeFields}) })
	b.Run("learn structure", func(b *testing.B) { benchLearn(b, s, backend.FetchRequest{Items: backend.FetchBodyStructure}) })
}

// BenchmarkFetchOne is the work of storage for a client that reads messages here and there.
func BenchmarkFetchOne(b *testing.B) {
	s := bigMailbox(b)
	uids := open(b, s).Messages.UIDs
	r := backend.FetchRequest{Mailbox: ref("INBOX"), HeaderFields: envelopeFields}
	b.ReportAllocs()
	var c counter
	for i := 0; b.Loop(); i++ {
		at := i * 7919 % len(uids)
		r.UIDs = uids[at : at+1]
		if err := s.Fetch(context.Background(), &r, &c); err != nil {
			b.Fatal(err)
		}
	}
	if c.messages != b.N || c.damaged > 0 {
		b.Fatalf("%d messages, %d damaged", c.messages, c.damaged)
	}
}

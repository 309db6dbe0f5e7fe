package host

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/roostmail/roost/core/backend"
)

// benchStorage answers from memory, so that what is measured is the way there.
type benchStorage struct {
	testPlugin
	snapshot *backend.Snapshot
	header   []byte
	body     []byte
}

const benchMessages = 100_000

func newBenchStorage() *benchStorage {
	s := &benchStorage{
		testPlugin: testPlugin{kind: backend.KindStorage},
		header:     bytes.Repeat([]byte("Subject: benchmark\r\n"), 20), // 400 bytes
		body:       bytes.Repeat([]byte("0123456789abcdef"), 1<<16),    // 1 MiB
	}
	cols := backend.Columns{KeywordWords: 1}
	for i := range benchMessages {
		cols.UIDs = append(cols.UIDs, uint32(i+1))
		cols.Flags = append(cols.Flags, backend.FlagSeen)
		cols.Keywords = append(cols.Keywords, 1)
		cols.ModSeqs = append(cols.ModSeqs, uint64(i+1))
	}
	s.snapshot = &backend.Snapshot{UIDValidity: 1, UIDNext: benchMessages + 1, HighestModSeq: benchMessages, Keywords: []string{"$K"}, Messages: cols, Position: []byte("x")}
	return s
}

func (s *benchStorage) Open(context.Context, backend.MailboxRef) (*backend.Snapshot, error) {
	return s.snapshot, nil
}

func (s *benchStorage) Fetch(_ context.Context, r *backend.FetchRequest, sink backend.FetchSink) error {
	for _, uid := range r.UIDs {
		m := backend.FetchedMessage{UID: uid, Size: 4711, InternalDate: 1700000000}
		if r.Items&backend.FetchBody != 0 {
			m.BodySize = uint64(len(s.body))
		} else {
			m.HeaderFields = s.header
		}
		if err := sink.Message(&m); err != nil {
			return err
		}
		for p := s.body[:m.BodySize]; len(p) > 0; {
			n := min(len(p), 64<<10) // as a reader of files does
			if err := sink.Body(p[:n]); err != nil {
				return err
			}
			p = p[n:]
		}
	}
	return nil
}

// bothWays runs a benchmark against a child process and in-process.
func bothWays(b *testing.B, run func(b *testing.B, s backend.Storage)) {
	for _, isolation := range []string{"process", "inproc"} {
		b.Run("isolation="+isolation, func(b *testing.B) {
			h, _ := newHost(b)
			c := testConfig(b)
			c.Env = append(c.Env, "TEST_PLUGIN=bench")
			if isolation == "inproc" {
				c = inproc(backend.KindStorage)
				c.Inproc = func() backend.Plugin { return newBenchStorage() }
			}
			s := mustStart(b, h, c).Storage()
			b.ReportAllocs()
			b.ResetTimer()
			run(b, s)
			b.StopTimer()
		})
	}
}

// BenchmarkStatus is the cost of one small call.
func BenchmarkStatus(b *testing.B) {
	for _, callers := range []int{1, 16} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			bothWays(b, func(b *testing.B, s backend.Storage) {
				b.SetParallelism(max(1, callers/2)) // of 2 cores
				work := func(next func() bool) {
					for next() {
						if _, err := s.Status(context.Background(), anyMailbox.User, "", []string{"INBOX"}, backend.StatusMessages); err != nil {
							b.Error(err)
							return
						}
					}
				}
				if callers > 1 {
					b.RunParallel(func(pb *testing.PB) { work(pb.Next) })
					return
				}
				work(b.Loop)
			})
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	b.Run(fmt.Sprintf("messages=%d", benchMessages), func(b *testing.B) {
		bothWays(b, func(b *testing.B, s backend.Storage) {
			for b.Loop() {
				snap, err := s.Open(context.Background(), anyMailbox)
				if err != nil || len(snap.Messages.UIDs) != benchMessages {
					b.Fatal(err)
				}
			}
		})
	})
}

func benchFetch(b *testing.B, items backend.FetchItems, messages int) {
	uids := make([]uint32, messages)
	for i := range uids {
		uids[i] = uint32(i + 1)
	}
	bothWays(b, func(b *testing.B, s backend.Storage) {
		var sink countSink
		for b.Loop() {
			sink = countSink{}
			err := s.Fetch(context.Background(), &backend.FetchRequest{Mailbox: anyMailbox, UIDs: uids, Items: items, HeaderFields: []string{"Subject"}}, &sink)
			if err != nil || sink.messages != messages {
				b.Fatalf("%v after %d messages", err, sink.messages)
			}
		}
		b.ReportMetric(float64(messages)*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		if sink.bytes > 0 {
			b.SetBytes(int64(sink.bytes))
		}
	})
}

// BenchmarkFetchHeaders fetches 400 bytes of header fields of each message.
func BenchmarkFetchHeaders(b *testing.B) {
	for _, n := range []int{1, benchMessages} {
		b.Run(fmt.Sprintf("messages=%d", n), func(b *testing.B) {
			benchFetch(b, backend.FetchSize|backend.FetchInternalDate, n)
		})
	}
}

// BenchmarkFetchBodies fetches messages of 1 MiB.
func BenchmarkFetchBodies(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("messages=%d", n), func(b *testing.B) { benchFetch(b, backend.FetchBody, n) })
	}
}

package mailbox

import (
	"fmt"
	"testing"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
)

func bigSnapshot(n int) *backend.Snapshot {
	s := &backend.Snapshot{UIDValidity: 1, UIDNext: imap.UID(n + 1), HighestModSeq: uint64(n), Keywords: []string{"a", "b", "c"}}
	s.Messages.KeywordWords = 1
	for i := range n {
		s.Messages.UIDs = append(s.Messages.UIDs, uint32(i+1))
		s.Messages.Flags = append(s.Messages.Flags, uint8(i%3)*backend.FlagSeen)
		s.Messages.Keywords = append(s.Messages.Keywords, uint64(i/100%8))
		s.Messages.ModSeqs = append(s.Messages.ModSeqs, uint64(i+1))
	}
	return s
}

var sizes = []int{100_000, 1_000_000}

func BenchmarkOpen(b *testing.B) {
	for _, n := range sizes {
		s := bigSnapshot(n)
		low := *s
		low.Messages.Keywords = nil
		for _, w := range s.Messages.Keywords {
			low.Messages.LowKeywords = append(low.Messages.LowKeywords, uint8(w))
		}
		for name, s := range map[string]*backend.Snapshot{"": s, "low/": &low} {
			b.Run(fmt.Sprintf("%smessages=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := fromSnapshot(s, new(flagTable), 1); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkChange(b *testing.B) {
	for _, n := range sizes {
		v, _ := fromSnapshot(bigSnapshot(n), new(flagTable), 1)
		mid := uint32(n / 2)
		one := func(uid uint32) backend.Columns {
			return backend.Columns{UIDs: []uint32{uid}, Flags: []uint8{backend.FlagFlagged}, ModSeqs: []uint64{uint64(n) + 9}}
		}
		for name, c := range map[string]*backend.Changes{
			"flag":    {Updated: one(mid), UIDNext: v.UIDNext, Keywords: v.Keywords},
			"expunge": {Expunged: []uint32{mid}, UIDNext: v.UIDNext, Keywords: v.Keywords},
			"append":  {Appended: one(uint32(v.UIDNext)), Keywords: v.Keywords},
		} {
			b.Run(fmt.Sprintf("%s/messages=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, d, err := fromChanges(v, c); err != nil || d == nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkRebuild(b *testing.B) {
	for _, n := range sizes {
		v, _ := fromSnapshot(bigSnapshot(n), new(flagTable), 1)
		j := newJournal(1, 1<<30)
		j.pin(1)
		next := v
		for i := range 100 {
			var d *delta
			next, d, _ = fromChanges(next, &backend.Changes{Expunged: []uint32{uint32(i*(n/100) + 1)}, Keywords: v.Keywords})
			j.add(d)
		}
		b.Run(fmt.Sprintf("expunged=100/messages=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if j.rebuild(next, 1).Len() != uint32(n) {
					b.Fatal("wrong view")
				}
			}
		})
	}
}

func BenchmarkMessages(b *testing.B) {
	for _, n := range sizes {
		v, _ := fromSnapshot(bigSnapshot(n), new(flagTable), 1)
		b.Run(fmt.Sprintf("messages=%d", n), func(b *testing.B) {
			for b.Loop() {
				sum, recent := 0, v.Unclaimed()
				for m := range v.Messages(v.All()) {
					sum += len(v.FlagSet(m.Flags).Text(recent.Has(m.UID)))
				}
				if sum == 0 {
					b.Fatal("no flags")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/message")
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range sizes {
		v, _ := fromSnapshot(bigSnapshot(n), new(flagTable), 1)
		b.Run(fmt.Sprintf("uid/messages=%d", n), func(b *testing.B) {
			uid := uint32(0)
			for b.Loop() {
				uid = (uid + 7919) % uint32(n)
				if v.Seq(imap.UID(uid+1)) == 0 {
					b.Fatal("not found")
				}
			}
		})
	}
}

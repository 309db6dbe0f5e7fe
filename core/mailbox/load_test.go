package mailbox

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/roostmail/roost/core/backend"
)

// Whatever sets of flags follow each other, more than columns remembers among them, each message has the one that interning its own gives.
func TestFlagsOfColumns(t *testing.T) {
	for _, c := range []struct {
		words, n int
		low      bool
	}{{1, 3 * chunkSize, false}, {2, 3 * chunkSize, false}, {1, 100, true}, {1, 2 * manyMessages, true}} {
		words := c.words
		rnd := rand.New(rand.NewPCG(1, uint64(words)))
		s := &backend.Snapshot{UIDValidity: 1, HighestModSeq: 7}
		for k := range 64 * words {
			s.Keywords = append(s.Keywords, fmt.Sprint("k", 64*words-k)) // not in the table's order
		}
		s.Messages.KeywordWords = words
		for i := range c.n {
			s.Messages.UIDs = append(s.Messages.UIDs, uint32(i+1))
			s.Messages.Flags = append(s.Messages.Flags, uint8(rnd.IntN(int(allSystemFlags)+1)))
			if c.low {
				s.Messages.LowKeywords = append(s.Messages.LowKeywords, uint8(rnd.IntN(256)))
				continue
			}
			for range words {
				s.Messages.Keywords = append(s.Messages.Keywords, uint64(rnd.IntN(40))<<rnd.IntN(50))
			}
		}
		table := new(flagTable)
		table.keywordMap([]string{"k1", "k2", "k3"})
		v, err := fromSnapshot(s, table, 1)
		if err != nil {
			t.Fatal(err)
		}
		kwmap := table.keywordMap(s.Keywords)
		for i := range s.Messages.UIDs {
			var row []uint64
			if c.low {
				row = []uint64{uint64(s.Messages.LowKeywords[i])}
			} else {
				row = s.Messages.Keywords[i*words:][:words]
			}
			if kwmap != nil {
				row = translate(row, kwmap)
			}
			m, _ := v.Message(SeqNum(i + 1))
			if want := table.intern(s.Messages.Flags[i], row); m.Flags != want || m.ModSeq != 7 {
				t.Fatalf("%+v: message %d has flags %d and modseq %d, want %d and 7", c, i+1, m.Flags, m.ModSeq, want)
			}
		}
	}
}

package pluginrpc

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// TestColumnsInMessages: what splitter and joiner make of columns, through the bytes of both encoders, is the same columns, in messages of bounded size.
func TestColumnsInMessages(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for name, c := range map[string]struct {
		n, gap, words int // a gap in the UIDs every so many messages, on average; 0 = none
		modSeqs       bool
		messages      int // of the wire; 0: do not count
	}{
		"none":               {},
		"one":                {n: 1, messages: 1},
		"all in one message": {n: 100_000, messages: 1},
		"two":                {n: 200_000, messages: 2},
		"some gaps":          {n: 100_000, gap: 5000, messages: 1},
		"many gaps":          {n: 100_000, gap: 3},
		"each a gap":         {n: 100_000, gap: 1},
		"keywords":           {n: 100_000, words: 1},
		"many keywords":      {n: 20_000, words: 3, gap: 10},
		"modseqs":            {n: 50_000, modSeqs: true},
	} {
		t.Run(name, func(t *testing.T) {
			cols := backend.Columns{KeywordWords: c.words}
			for uid := uint32(1); len(cols.UIDs) < c.n; uid++ {
				if c.gap > 0 && rng.IntN(c.gap) == 0 {
					uid += 1 + rng.Uint32N(300)
				}
				cols.UIDs = append(cols.UIDs, uid)
				cols.Flags = append(cols.Flags, uint8(rng.IntN(32)))
				for range c.words {
					cols.Keywords = append(cols.Keywords, rng.Uint64N(1<<20))
				}
				if c.modSeqs {
					cols.ModSeqs = append(cols.ModSeqs, 1+rng.Uint64N(1000))
				}
			}
			for _, compact := range []bool{true, false} {
				s, err := newColumnsSplitter(&cols, compact)
				if err != nil {
					t.Fatal(err)
				}
				j := columnsJoiner{want: c.n, uidNext: 1 << 31, highestModSeq: 1000, keywords: 64 * c.words}
				messages := 0
				for m := s.split(); m != nil; m = s.split() {
					messages++
					data, err := newCodec().Marshal(&storagev1.OpenResponse{Messages: m})
					if err != nil {
						t.Fatal(err)
					}
					b := data.Materialize()
					if len(b) > 2*columnBytes {
						t.Errorf("a message of %d bytes", len(b))
					}
					var got storagev1.OpenResponse
					if err := proto.Unmarshal(b, &got); err != nil || !proto.Equal(&got, &storagev1.OpenResponse{Messages: m}) {
						t.Fatalf("%v, or it is another message", err)
					}
					if err := j.add(got.Messages); err != nil {
						t.Fatal(err)
					}
				}
				out, err := j.done()
				if err != nil || !slices.Equal(out.UIDs, cols.UIDs) || !bytes.Equal(out.Flags, cols.Flags) || !slices.Equal(out.Keywords, cols.Keywords) || !slices.Equal(out.ModSeqs, cols.ModSeqs) {
					t.Errorf("compact %v: %v, or other columns", compact, err)
				}
				if compact && c.messages > 0 && messages != c.messages {
					t.Errorf("%d messages, want %d", messages, c.messages)
				}
			}
		})
	}
}

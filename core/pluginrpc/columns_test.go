package pluginrpc

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// TestColumnsInMessages: what splitter and joiner make of columns, through the bytes of both encoders, is the same columns, in messages of bounded size.
func TestColumnsInMessages(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for name, c := range map[string]struct {
		n, gap, words int // a gap in the UIDs every so many messages, on average; 0 = none
		low           bool
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
		"few keywords":       {n: 100_000, low: true},
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
				if c.low {
					cols.LowKeywords, cols.KeywordWords = append(cols.LowKeywords, uint8(rng.IntN(256))), 1
				}
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
				j := columnsJoiner{want: c.n, uidNext: 1 << 31, highestModSeq: 1000, keywords: 64 * cols.KeywordWords}
				messages := 0
				for m := s.split(); m != nil; m = s.split() {
					messages++
					data, err := newCodec(nil).Marshal(&storagev1.OpenResponse{Messages: m})
					if err != nil {
						t.Fatal(err)
					}
					b := data.Materialize()
					if len(b) > 2*columnBytes {
						t.Errorf("a message of %d bytes", len(b))
					}
					var got, generated storagev1.OpenResponse
					if err := proto.Unmarshal(b, &generated); err != nil || !proto.Equal(&generated, &storagev1.OpenResponse{Messages: m}) {
						t.Fatalf("%v, or it is another message", err)
					}
					if err := newCodec(nil).Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, &got); err != nil || !proto.Equal(&got, &generated) {
						t.Fatalf("%v, or another message than generated code decodes", err)
					}
					if err := j.add(got.Messages); err != nil {
						t.Fatal(err)
					}
				}
				out, err := j.done()
				if err != nil || !slices.Equal(out.UIDs, cols.UIDs) || !bytes.Equal(out.Flags, cols.Flags) || !slices.Equal(words(&out), words(&cols)) || !slices.Equal(out.ModSeqs, cols.ModSeqs) {
					t.Errorf("compact %v: %v, or other columns", compact, err)
				}
				if (out.LowKeywords != nil) != (c.low && compact) {
					t.Errorf("compact %v: keywords as bytes: %v", compact, out.LowKeywords != nil)
				}
				if compact && c.messages > 0 && messages != c.messages {
					t.Errorf("%d messages, want %d", messages, c.messages)
				}
			}
		})
	}
}

func words(c *backend.Columns) []uint64 {
	if c.LowKeywords != nil {
		return decodeLowBytes(nil, c.LowKeywords, 1)
	}
	return c.Keywords
}

// TestKeywordsGrowWider: columns whose keywords come as bytes at first, and then in more, are whole.
func TestKeywordsGrowWider(t *testing.T) {
	cols := backend.Columns{KeywordWords: 1}
	for i := range 100_000 {
		cols.UIDs = append(cols.UIDs, uint32(i+1))
		cols.Flags = append(cols.Flags, 0)
		cols.Keywords = append(cols.Keywords, uint64(1)<<min(i/10_000, 9))
	}
	s, err := newColumnsSplitter(&cols, true)
	if err != nil {
		t.Fatal(err)
	}
	j := columnsJoiner{want: len(cols.UIDs), uidNext: 1 << 31, highestModSeq: 1, keywords: 10}
	for m := s.split(); m != nil; m = s.split() {
		if err := j.add(m); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := j.done(); err != nil || !slices.Equal(out.Keywords, cols.Keywords) || out.LowKeywords != nil {
		t.Errorf("%v, or other keywords", err)
	}
}

// FuzzUnmarshalOpened decodes anything: what is taken is what generated code takes.
func FuzzUnmarshalOpened(f *testing.F) {
	for _, c := range []*storagev1.Columns{{}, {Uids: []byte{1, 0, 0, 0}, Flags: []byte{1}, Keywords: []byte{2}, KeywordWords: 1, KeywordBytes: 1, ModSeqs: make([]byte, 8)}, {UidRuns: []byte{1, 2}, Flags: []byte{1, 2}}} {
		f.Add(marshalOpened(c).Materialize())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := unmarshalOpened(b)
		if c == nil {
			return
		}
		var want storagev1.OpenResponse
		if err := proto.Unmarshal(b, &want); err != nil || !proto.Equal(&want, &storagev1.OpenResponse{Messages: c}) {
			t.Errorf("% x: %v, or generated code decodes %v, not %v", b, err, &want, c)
		}
	})
}

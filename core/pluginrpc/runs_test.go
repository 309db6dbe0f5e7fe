package pluginrpc

import (
	"bytes"
	"math"
	"slices"
	"testing"
)

func TestRuns(t *testing.T) {
	for _, c := range []struct {
		uids []uint32
		want []byte
	}{
		{nil, nil},
		{[]uint32{1}, []byte{1, 1}},
		{[]uint32{1, 2, 3, 300}, []byte{1, 3, 0xa9, 2, 1}},
		{[]uint32{math.MaxUint32 - 1, math.MaxUint32}, []byte{0xfe, 0xff, 0xff, 0xff, 0x0f, 2}},
		{[]uint32{200, 400, 600}, []byte{0xc8, 1, 1, 0xc8, 1, 1, 0xc8, 1, 1}},
		{[]uint32{1 << 31}, nil}, // longer than a column
		{[]uint32{3, 2}, nil},
		{[]uint32{0}, nil},
	} {
		got := appendRuns([]byte("x"), c.uids)[1:]
		if !bytes.Equal(got, c.want) {
			t.Errorf("%d: % x, want % x", c.uids, got, c.want)
		}
		if n, err := countRuns(got, len(c.uids)); len(got) > 0 && (n != len(c.uids) || err != nil || !slices.Equal(decodeRuns(nil, got), c.uids)) {
			t.Errorf("%d: counted %d, %v, decoded %d", c.uids, n, err, decodeRuns(nil, got))
		}
	}
}

// FuzzRuns decodes anything: what is taken is ascending, no more than allowed, and encoded again it is the same.
func FuzzRuns(f *testing.F) {
	f.Add([]byte{1, 3, 0xa9, 2, 1}, 4)
	f.Add([]byte{0xfe, 0xff, 0xff, 0xff, 0x0f, 2}, 2)
	f.Fuzz(func(t *testing.T, b []byte, most int) {
		most = min(max(most, 0), 100_000)
		n, err := countRuns(b, most)
		if err != nil {
			return
		}
		uids := decodeRuns(nil, b)
		if len(uids) != n || n > most || checkAscending(uids, 0, math.MaxUint32) != nil && uids[n-1] != math.MaxUint32 {
			t.Fatalf("%d UIDs, counted %d of at most %d", len(uids), n, most)
		}
		if again := appendRuns(nil, uids); len(again) > 0 && !slices.Equal(decodeRuns(nil, again), uids) {
			t.Fatalf("% x encoded again is % x", b, again)
		}
	})
}

func TestLowBytes(t *testing.T) {
	for want, words := range map[uint32][]uint64{
		1: {0, 255}, 2: {256}, 3: {1 << 23, 1}, 7: {1, 1<<56 - 1}, 0: {1 << 56},
	} {
		n := wordBytes(words)
		if n != want {
			t.Errorf("%x: %d bytes, want %d", words, n, want)
		}
		if n == 0 {
			continue
		}
		if got := decodeLowBytes(nil, appendLowBytes(nil, words, int(n)), int(n)); !slices.Equal(got, words) {
			t.Errorf("%x: got %x", words, got)
		}
	}
	if n := wordBytes(nil); n != 1 {
		t.Errorf("no words: %d bytes", n)
	}
}

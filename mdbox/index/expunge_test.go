package index

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestExpungedMessagesLeaveEveryColumn(t *testing.T) {
	s := &State{exts: []*Ext{{Name: "x", RecordSize: 2}}}
	for i := range 70 {
		s.uids = append(s.uids, uint32(i+1))
		s.flags = append(s.flags, uint8(i))
		s.exts[0].column = append(s.exts[0].column, byte(i), 0xff)
	}
	for _, i := range []int{0, 3, 4, 64, 68} {
		s.doomed.add(i)
	}
	s.cutDoomed()
	if len(s.uids) != 65 || len(s.flags) != 65 || len(s.exts[0].column) != 2*65 {
		t.Fatalf("columns have %d, %d and %d elements", len(s.uids), len(s.flags), len(s.exts[0].column))
	}
	for i, uid := range s.uids {
		if rec := s.exts[0].Record(i); s.flags[i] != uint8(uid-1) || !slices.Equal(rec, []byte{byte(uid - 1), 0xff}) {
			t.Errorf("message with UID %d has the flags %d and the record %x of another", uid, s.flags[i], rec)
		}
	}
}

// TestCut: whichever side is moved, what was not cut is left, in its order.
func TestCut(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		n, size := 1+rnd.IntN(40), rnd.IntN(4)
		low, high := rnd.IntN(n), rnd.IntN(n)
		low, high = min(low, high), max(low, high)
		var column, want []int
		var gone []int
		for i := range n {
			out := i >= low && i <= high && (i == low || rnd.IntN(2) == 0)
			if out {
				gone = append(gone, i)
			}
			for k := range size {
				column = append(column, i*10+k)
				if !out {
					want = append(want, i*10+k)
				}
			}
		}
		if got := cut(slices.Clone(column), gone, size); !slices.Equal(got, want) {
			t.Fatalf("%v of %d elements each cut from %v: %v", gone, size, column, got)
		}
	}
}

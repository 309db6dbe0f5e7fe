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
		s.exts[0].column.b = append(s.exts[0].column.b, byte(i), 0xff)
	}
	for _, i := range []int{0, 3, 4, 64, 68} {
		s.doomed.add(i)
	}
	s.cutDoomed()
	if len(s.uids) != 65 || len(s.flags) != 65 || len(s.exts[0].Column()) != 2*65 {
		t.Fatalf("columns have %d, %d and %d elements", len(s.uids), len(s.flags), len(s.exts[0].Column()))
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

// TestColumn: the rows of a column, most of whose expunged ones stay in it for a while, are those of the messages.
func TestColumn(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		size := 1 + rnd.IntN(3)
		var c column
		var want [][]byte
		next := 0
		for range 200 {
			switch n := rnd.IntN(10); {
			case n < 4 || len(want) == 0:
				for range 1 + rnd.IntN(30) {
					row := slices.Repeat([]byte{byte(next)}, size)
					c.b, want = append(c.b, row...), append(want, row)
					next++
				}
			case n < 9:
				var gone []int
				often := 1 + rnd.IntN(len(want))
				for i := range want {
					if rnd.IntN(often) == 0 {
						gone = append(gone, i)
					}
				}
				if len(gone) == 0 {
					continue
				}
				c.cut(gone, size)
				for k, i := range gone {
					want = slices.Delete(want, i-k, i-k+1)
				}
			default:
				if got := c.all(size); !slices.Equal(got, slices.Concat(want...)) {
					t.Fatalf("rows %v, want %v", got, want)
				}
			}
			if !c.holds(len(want), size) || len(c.gone) > keptRows {
				t.Fatalf("%d bytes, of which %d rows are gone, for %d rows of %d bytes", len(c.b), len(c.gone), len(want), size)
			}
			for i, row := range want {
				if got := c.row(i, size); !slices.Equal(got, row) {
					t.Fatalf("row %d is %v, want %v", i, got, row)
				}
			}
		}
	}
}

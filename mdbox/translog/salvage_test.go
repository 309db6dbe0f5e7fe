package translog

import (
	"bytes"
	"errors"
	"testing"
)

// salvageable is a log of four transactions, and where they begin.
func salvageable(t testing.TB) (b []byte, starts []int) {
	t.Helper()
	for i := range uint32(4) {
		starts = append(starts, len(b))
		var err error
		b, err = AppendTransaction(b, NewRecord{External: true, Payload: Appends{{UID: i + 1, Flags: 8}}},
			NewRecord{Payload: FlagUpdates{{UIDs: UIDRange{First: i + 1, Last: i + 1}, Add: 1}}},
			NewRecord{Payload: KeywordUpdate{Name: "Work", UIDs: []UIDRange{{First: i + 1, Last: i + 1}}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	return b, starts
}

func salvaged(b []byte) (uids []uint32, holes []Hole) {
	holes = Salvage(b, Pos{FileSeq: 2, Offset: 40}, func(r *Record) error {
		if r.Header.Type == TypeAppend {
			if p, err := r.Decode(0); err == nil {
				uids = append(uids, p.(Appends)[0].UID)
			}
		}
		return nil
	})
	return uids, holes
}

func TestSalvageGoesOnBehindDamage(t *testing.T) {
	whole, starts := salvageable(t)
	for name, c := range map[string]struct {
		damage func(b []byte) []byte
		uids   []uint32
		holes  int
	}{
		"none":                   {func(b []byte) []byte { return b }, []uint32{1, 2, 3, 4}, 0},
		"a boundary":             {func(b []byte) []byte { clear(b[starts[1]:][:8]); return b }, []uint32{1, 2, 3, 4}, 1},
		"an append":              {func(b []byte) []byte { clear(b[starts[1]+16:][:8]); return b }, []uint32{1, 3, 4}, 1},
		"the size of a boundary": {func(b []byte) []byte { b[starts[2]+10] ^= 0x40; return b }, []uint32{1, 2, 3, 4}, 0},
		"two places":             {func(b []byte) []byte { clear(b[20:24]); clear(b[starts[3]-4:][:20]); return b }, []uint32{2, 3}, 2},
		"its end":                {func(b []byte) []byte { return b[:len(b)-6] }, []uint32{1, 2, 3, 4}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			uids, holes := salvaged(c.damage(bytes.Clone(whole)))
			if len(uids) != len(c.uids) || len(holes) != c.holes {
				t.Fatalf("messages %v and holes %v, want %v and %d", uids, holes, c.uids, c.holes)
			}
			for i := range uids {
				if uids[i] != c.uids[i] {
					t.Fatalf("messages %v, want %v", uids, c.uids)
				}
			}
		})
	}
}

// TestSalvagePassesOverWhatIsRefused: an error makes the record a hole, and the next one is visited.
func TestSalvagePassesOverWhatIsRefused(t *testing.T) {
	b, _ := salvageable(t)
	n := 0
	holes := Salvage(b, Pos{FileSeq: 2, Offset: 40}, func(r *Record) error {
		if n++; n == 2 {
			return errors.New("refused")
		}
		return nil
	})
	if n != 16 || len(holes) != 1 || holes[0].AtEnd {
		t.Errorf("%d records and holes %v, want 16 and one", n, holes)
	}
}

func FuzzSalvage(f *testing.F) {
	b, _ := salvageable(f)
	f.Add(b)
	f.Add(b[3:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		var size int64
		last := int64(40)
		holes := Salvage(b, Pos{FileSeq: 2, Offset: 40}, func(r *Record) error {
			if int64(r.Pos.Offset) < last {
				t.Fatalf("record at %d after one that ends at %d", r.Pos.Offset, last)
			}
			last = int64(r.End().Offset)
			size += int64(r.Header.Size)
			return nil
		})
		for _, h := range holes {
			size += h.Size()
		}
		if size != int64(len(b)) {
			t.Errorf("records and holes have %d bytes, the log has %d", size, len(b))
		}
	})
}

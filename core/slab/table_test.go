package slab

import (
	"sync"
	"testing"
)

type rec struct {
	used uint32
	v    uint64
	_    [20]byte
}

func newTable36(t *testing.T, max int, o Option) *Table[rec] {
	t.Helper()
	tab, err := New[rec]("test", max, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tab.Close)
	return tab
}

func TestTakeGive(t *testing.T) {
	tab := newTable36(t, 200_000, 0)
	seen := map[uint32]bool{}
	for i := range 100_000 {
		slot, r, err := tab.Take()
		if err != nil || slot == 0 || seen[slot] || r != tab.At(slot) || *r != (rec{}) {
			t.Fatalf("take %d: slot %d, %v, %v", i, slot, r, err)
		}
		seen[slot] = true
		r.v = uint64(slot)
	}
	for slot := range seen {
		if tab.At(slot).v != uint64(slot) {
			t.Fatalf("slot %d holds %d", slot, tab.At(slot).v)
		}
	}
	if tab.Slots() != 100_000 || tab.Used() != 100_000 {
		t.Errorf("%d slots, %d used", tab.Slots(), tab.Used())
	}
	tab.Give(77)
	if slot, r, err := tab.Take(); slot != 77 || r.v != 77 || err != nil {
		t.Errorf("after Give: slot %d, %v, %v", slot, r, err)
	}
	for _, slot := range []uint32{0, 1 << 31, 1<<32 - 1} {
		if tab.At(slot) != nil {
			t.Errorf("slot %d has a record", slot)
		}
	}
}

func TestFull(t *testing.T) {
	tab := newTable36(t, 1, 0)
	n := 0
	for {
		slot, _, err := tab.Take()
		if err != nil {
			t.Fatal(err)
		}
		if slot == 0 {
			break
		}
		n++
	}
	if n < 1 || n > int(tab.per) {
		t.Errorf("%d records", n)
	}
}

func TestConcurrentTake(t *testing.T) {
	tab := newTable36(t, 1<<20, 0)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 20_000 {
				slot, r, err := tab.Take()
				if err != nil || slot == 0 {
					t.Errorf("slot %d, %v", slot, err)
					return
				}
				if r.used++; r.used != 1 {
					t.Errorf("slot %d is used twice", slot)
				}
				if i%3 == 0 {
					r.used--
					tab.Give(slot)
				}
			}
		})
	}
	wg.Wait()
}

func TestPointersAreRefused(t *testing.T) {
	if _, err := New[struct{ s string }]("x", 10, 0); err == nil {
		t.Error("a string")
	}
	if _, err := New[struct{ p [2]*int }]("x", 10, 0); err == nil {
		t.Error("a pointer")
	}
	if _, err := New[struct{}]("x", 10, 0); err == nil {
		t.Error("nothing")
	}
	if _, err := New[rec]("x", 0, 0); err == nil {
		t.Error("no records")
	}
}

package slab

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// linked is a record of an index.
type linked struct{ Next, Hash uint32 }

func TestIndex(t *testing.T) {
	tab, err := New[linked]("test", 1<<16, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tab.Close()
	x, err := NewIndex(1<<16, func(slot uint32) (*uint32, uint32) { r := tab.At(slot); return &r.Next, r.Hash })
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	rnd := rand.New(rand.NewPCG(3, 4))
	var in []uint32
	has := func(slot uint32) bool {
		for s := x.First(tab.At(slot).Hash); s != 0; s = x.Next(s) {
			if s == slot {
				return true
			}
		}
		return false
	}
	for step := range 60_000 {
		if len(in) > 0 && (rnd.IntN(3) == 0 || step > 50_000) {
			i := rnd.IntN(len(in))
			x.Remove(in[i])
			if has(in[i]) {
				t.Fatalf("%d was not removed", in[i])
			}
			tab.Give(in[i])
			in[i] = in[len(in)-1]
			in = in[:len(in)-1]
			continue
		}
		slot, r, _ := tab.Take()
		*r = linked{Hash: rnd.Uint32N(20_000)} // some are equal
		x.Add(slot)
		in = append(in, slot)
	}
	for _, slot := range in {
		if !has(slot) {
			t.Fatalf("%d is not found", slot)
		}
	}
	if x.Len() != len(in) {
		t.Errorf("%d entries, want %d", x.Len(), len(in))
	}
	x.Remove(0x7fff) // not there: nothing
	x.Clear()
	if x.Len() != 0 || has(in[0]) {
		t.Error("cleared, but not empty")
	}
}

func TestNames(t *testing.T) {
	blobs := newBlobs(t, 10_000)
	n, err := NewNames("test", 1000, blobs, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	hold := func(s string) uint32 {
		id, err := n.Hold([]byte(s))
		if err != nil || id == 0 {
			t.Fatal(id, err)
		}
		return id
	}
	ids := map[string]uint32{}
	for i := range 1000 {
		s := fmt.Sprintf("name %d", i%500)
		if id := hold(s); ids[s] != 0 && ids[s] != id {
			t.Fatalf("%q has the ids %d and %d", s, ids[s], id)
		} else {
			ids[s] = id
		}
	}
	for s, id := range ids {
		if n.Text(id) != s || n.Find([]byte(s)) != id {
			t.Fatalf("%d is %q, want %q", id, n.Text(id), s)
		}
		n.Drop(id)
		if n.Find([]byte(s)) != id {
			t.Fatalf("%q is gone with the first of two references", s)
		}
		n.Drop(id)
		if n.Find([]byte(s)) != 0 {
			t.Fatalf("%q is found without a reference", s)
		}
	}
	n.Drop(0)
	n.Drop(ids["name 1"]) // once too often: ignored
	if n.Len() != 0 || blobs.Used() != 0 {
		t.Errorf("%d names, %d cells are left", n.Len(), blobs.Used())
	}
}

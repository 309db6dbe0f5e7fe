package slab

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
)

func newBlobs(t *testing.T, cells int) *Blobs {
	t.Helper()
	s, err := NewBlobs("test", cells, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestBlobs(t *testing.T) {
	s := newBlobs(t, 100_000)
	rnd := rand.New(rand.NewPCG(1, 2))
	want := map[uint32][]byte{}
	for i := range 3000 {
		size := i % 300
		if i%100 == 0 {
			size = rnd.IntN(20_000)
		}
		b := make([]byte, size)
		for j := range b {
			b[j] = byte(rnd.Uint32())
		}
		id, err := s.Put(b)
		if err != nil || id == 0 || want[id] != nil {
			t.Fatalf("put %d: id %d, %v", i, id, err)
		}
		want[id] = b
		if i%3 == 0 {
			for id := range want {
				s.Free(id)
				delete(want, id)
				break
			}
		}
	}
	for id, b := range want {
		if got := s.Append([]byte("x"), id); !bytes.Equal(got[1:], b) {
			t.Fatalf("blob %d of %d bytes is another", id, len(b))
		}
	}
	for id := range want {
		s.Free(id)
	}
	if s.Used() != 0 {
		t.Errorf("%d cells are left", s.Used())
	}
}

func TestBlobsFull(t *testing.T) {
	s := newBlobs(t, 10)
	free := 0
	for { // the table holds some more than it was asked for
		if _, err := s.Put(nil); err != nil {
			break
		}
		free++
	}
	if free < 10 {
		t.Fatalf("only %d blobs", free)
	}
	for id := range uint32(3) {
		s.Free(id + 1)
	}
	if _, err := s.Put(make([]byte, 1000)); err == nil {
		t.Error("a blob larger than what is free was kept")
	}
	if n := s.Used(); n != free-3 {
		t.Errorf("%d cells are used after a failure, want %d", n, free-3)
	}
	if _, err := s.Put(make([]byte, MaxBlob+1)); err == nil {
		t.Error("too large a blob was kept")
	}
}

func TestBlobsRestore(t *testing.T) {
	s := newBlobs(t, 10_000)
	want := map[uint32]string{}
	for i := range 500 {
		text := fmt.Sprintf("%0*d", i, i)
		id, err := s.Put([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			want[id] = text
		}
	}
	var damaged uint32
	for id, text := range want {
		if len(text) > 100 {
			damaged = id
			s.cells.At(id).Next = id // a circle
			break
		}
	}
	bad := s.Restore(maps.Keys(want))
	if len(bad) != 1 || bad[0] != damaged {
		t.Errorf("damaged: %v, want %d", bad, damaged)
	}
	delete(want, damaged)
	cells := 0
	for id, text := range want {
		cells += (1 + len(text) + cellData - 1) / cellData
		if len(text) >= 128 {
			cells += (2+len(text)+cellData-1)/cellData - (1+len(text)+cellData-1)/cellData
		}
		if got := s.Append(nil, id); string(got) != text {
			t.Errorf("blob %d is %q, want %q", id, got, text)
		}
	}
	if s.Used() != cells {
		t.Errorf("%d cells are used, want %d", s.Used(), cells)
	}
}

func FuzzBlobs(f *testing.F) {
	f.Add([]byte("INBOX"), []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, a, damage []byte) {
		s := newBlobs(t, MaxBlob/cellData+2)
		id, err := s.Put(a)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Append(nil, id); !bytes.Equal(got, a) {
			t.Fatalf("%q, want %q", got, a)
		}
		copy(s.cells.At(id).Data[:], damage) // as another process may have left it
		s.Append(nil, id)
		s.Restore(func(yield func(uint32) bool) { _ = yield(id) && yield(1<<31) })
	})
}

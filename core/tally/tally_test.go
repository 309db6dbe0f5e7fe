package tally

import (
	"math/rand/v2"
	"sync"
	"testing"
)

func TestCountsAgreeWithAMap(t *testing.T) {
	table, model := New(), map[Key]int{}
	r := rand.New(rand.NewPCG(1, 2))
	for step := range 120_000 {
		key := Key{Address: r.Uint64N(6000), User: r.Uint32N(2)}
		if grow := step/15_000%2 == 0; r.IntN(3) == 0 != grow {
			want := model[key] < 3
			if got := table.Add(key, 3); got != want {
				t.Fatalf("step %d: Add of a key with %d: %v", step, model[key], got)
			}
			if want {
				model[key]++
			}
		} else {
			table.Done(key)
			if model[key]--; model[key] <= 0 {
				delete(model, key)
			}
		}
		if got := table.Count(key); got != model[key] {
			t.Fatalf("step %d: count %d, want %d", step, got, model[key])
		}
		if step%10_000 == 0 && table.Len() != len(model) {
			t.Fatalf("step %d: %d keys, want %d", step, table.Len(), len(model))
		}
	}
	for key, n := range model {
		for range n {
			table.Done(key)
		}
	}
	if table.Len() != 0 || table.Bytes() > shardCount*firstCells*8 {
		t.Errorf("%d keys and %d bytes are left", table.Len(), table.Bytes())
	}
}

func TestBytesForAKey(t *testing.T) {
	table := New()
	const keys = 300_000
	for i := range keys {
		table.Add(Key{Address: uint64(i), User: 7}, Max)
	}
	if per := float64(table.Bytes()) / keys; per > 11.5 {
		t.Errorf("%.1f bytes for a key", per)
	}
	if table.Len() != keys {
		t.Errorf("%d keys", table.Len())
	}
}

func TestLimitHoldsWithManyAtOnce(t *testing.T) {
	table := New()
	var mu sync.Mutex
	var wg sync.WaitGroup
	in, most := 0, 0
	for range 8 {
		wg.Add(1)
		go func() { // ends after its rounds, which the test waits for
			defer wg.Done()
			for range 5000 {
				if !table.Add(Key{Address: 1}, 3) {
					continue
				}
				mu.Lock()
				in++
				most = max(most, in)
				mu.Unlock()
				mu.Lock()
				in--
				mu.Unlock()
				table.Done(Key{Address: 1})
			}
		}()
	}
	wg.Wait()
	if most > 3 || table.Len() != 0 {
		t.Errorf("%d at once, %d keys left", most, table.Len())
	}
}

func BenchmarkAddDone(b *testing.B) {
	table := New()
	b.ReportAllocs()
	for i := range b.N {
		table.Add(Key{Address: uint64(i), User: 1}, 10)
		if i >= 100_000 {
			table.Done(Key{Address: uint64(i - 100_000), User: 1})
		}
	}
}

// TestASmallTableForgetsWhatItHadBefore: the cells that a shard has as long as it is small are used again when it has become small again.
func TestASmallTableForgetsWhatItHadBefore(t *testing.T) {
	const keys, kept = 400, 16
	table := New()
	small := table.Bytes()
	for range 3 {
		for i := range uint64(keys) {
			table.Add(Key{Address: i}, Max)
		}
		for i := range uint64(keys - kept) {
			table.Done(Key{Address: kept + i})
		}
		for i := range uint64(keys) {
			want := 0
			if i < kept {
				want = 1
			}
			if got := table.Count(Key{Address: i}); got != want {
				t.Fatalf("key %d: %d, want %d", i, got, want)
			}
		}
		for i := range uint64(kept) {
			table.Done(Key{Address: i})
		}
		if n := table.Len(); n != 0 {
			t.Fatalf("%d keys are left", n)
		}
		small = max(small, table.Bytes())
	}
	if most := int64(shardCount * firstCells * 8); small > most {
		t.Errorf("an empty table has %d bytes, want at most %d", small, most)
	}
}

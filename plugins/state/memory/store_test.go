package memory

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// clocked returns a store whose time is *now.
func clocked(max int64) (*store, *time.Time) {
	now := time.Unix(1_000_000_000, 0)
	return newStore(max, func() time.Time { return now }), &now
}

func mustPut(t *testing.T, s *store, p backend.StatePut) uint64 {
	t.Helper()
	p.Namespace = "n"
	r, err := s.put(p)
	if err != nil || !r.Done {
		t.Fatalf("put: %+v, %v", r, err)
	}
	return r.Version
}

// TestEndsWithItsTTL: not a moment before, and not a moment after.
func TestEndsWithItsTTL(t *testing.T) {
	s, now := clocked(1 << 20)
	mustPut(t, s, backend.StatePut{Key: "k", TTL: time.Second})
	*now = now.Add(time.Second - time.Microsecond)
	if v := s.get("n", []string{"k"})[0]; v.Version == 0 || v.TTL != time.Millisecond {
		t.Errorf("before its end: %+v", v)
	}
	*now = now.Add(time.Microsecond)
	if v := s.get("n", []string{"k"})[0]; v.Version != 0 {
		t.Errorf("at its end: %+v", v)
	}
	if s.used != 0 || len(s.items) != 0 || len(s.expiry) != 0 || len(s.index.leaves) != 0 {
		t.Errorf("something is left of it: %d bytes, %d items, %d in the heap, %d leaves", s.used, len(s.items), len(s.expiry), len(s.index.leaves))
	}
}

func TestFull(t *testing.T) {
	s, now := clocked(2*(itemBytes+3) + 10)
	mustPut(t, s, backend.StatePut{Key: "a", Data: make([]byte, 10)})
	v := mustPut(t, s, backend.StatePut{Key: "b", TTL: time.Second})
	_, err := s.put(backend.StatePut{Namespace: "n", Key: "c"})
	if backend.KindOf(err) != backend.KindLimit || !strings.Contains(err.Error(), "max_bytes") {
		t.Errorf("a third key: %v", err)
	}
	_, err = s.put(backend.StatePut{Namespace: "n", Key: "b", Data: []byte("x")})
	if backend.KindOf(err) != backend.KindLimit {
		t.Errorf("a longer value: %v", err)
	}
	if got := s.get("n", []string{"b"})[0]; got.Version != v || got.TTL == 0 {
		t.Errorf("after it was refused: %+v, want version %d", got, v)
	}
	mustPut(t, s, backend.StatePut{Key: "a", Data: make([]byte, 9)}) // shorter
	mustPut(t, s, backend.StatePut{Key: "b", Data: []byte("x"), TTL: time.Second})
	*now = now.Add(time.Hour)
	mustPut(t, s, backend.StatePut{Key: "c"}) // what has expired makes room
}

// TestRestartGoesOnWithVersions: a store that was made later gives greater versions.
func TestRestartGoesOnWithVersions(t *testing.T) {
	s, now := clocked(1 << 20)
	last := mustPut(t, s, backend.StatePut{Key: "k"})
	for range 1000 {
		last = mustPut(t, s, backend.StatePut{Key: "k"})
	}
	later := now.Add(time.Millisecond)
	if v := mustPut(t, newStore(1<<20, func() time.Time { return later }), backend.StatePut{Key: "k"}); v <= last {
		t.Errorf("version %d after %d", v, last)
	}
}

// TestStoreAgainstModel: random operations leave the index, the heap and the count of bytes as a plain map says.
func TestStoreAgainstModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s, now := clocked(1 << 30)
	type entry struct {
		version uint64
		ends    time.Time
		size    int
	}
	model := map[string]entry{}
	for step := range 30_000 {
		key := fmt.Sprint(r.IntN(3000))
		switch r.IntN(8) {
		case 0, 1:
			s.delete(backend.StateDelete{Namespace: "n", Key: key})
			delete(model, key)
		case 2:
			*now = now.Add(time.Duration(r.IntN(20)) * time.Millisecond)
			for k, e := range model {
				if !e.ends.IsZero() && !e.ends.After(*now) {
					delete(model, k)
				}
			}
		default:
			p := backend.StatePut{Key: key, Data: make([]byte, r.IntN(50))}
			e := entry{size: itemBytes + 2 + len(key) + len(p.Data)}
			if r.IntN(2) == 0 {
				p.TTL = time.Duration(1+r.IntN(5000)) * time.Millisecond
				e.ends = now.Add(p.TTL)
			}
			e.version = mustPut(t, s, p)
			model[key] = e
		}
		if step%1000 != 0 {
			continue
		}
		s.clean()
		var want []string
		var used int64
		for k, e := range model {
			want = append(want, k)
			used += int64(e.size)
		}
		sort.Strings(want)
		var got []string
		for l := (backend.StateList{Namespace: "n", Limit: 100}); ; {
			page := s.list(l)
			if err := page.Check(&l); err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
			for _, e := range page.Entries {
				if got = append(got, e.Key); e.Version != model[e.Key].version {
					t.Fatalf("step %d: %q has version %d, want %d", step, e.Key, e.Version, model[e.Key].version)
				}
			}
			if !page.More {
				break
			}
			l.After = got[len(got)-1]
		}
		if !slices.Equal(got, want) || s.used != used {
			t.Fatalf("step %d: %d keys in %d bytes, want %d in %d", step, len(got), s.used, len(want), used)
		}
	}
}

// TestExpiryIsToldWhenNobodyAsks: in time, by one timer, and also if a key that ends earlier comes later.
func TestExpiryIsToldWhenNobodyAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New()
		if err := p.Configure(t.Context(), backend.Config{}); err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		begun, stop := time.Now(), errors.New("stop")
		var told []string
		err := p.Watch(t.Context(), backend.StateWatch{Namespace: "n"}, func(n *backend.StateNews) error {
			if n.Lost {
				for key, ttl := range map[string]time.Duration{"hour": time.Hour, "minute": time.Minute, "second": time.Second} {
					if _, err := p.Put(t.Context(), backend.StatePut{Namespace: "n", Key: key, TTL: ttl}); err != nil {
						t.Error(err)
					}
				}
			}
			for _, c := range n.Changes {
				if c.Version == 0 {
					told = append(told, fmt.Sprintf("%s after %v", c.Key, time.Since(begun).Truncate(time.Second)))
				}
			}
			if len(told) == 3 {
				return stop
			}
			return nil
		})
		if want := "[second after 1s minute after 1m0s hour after 1h0m0s]"; err != stop || fmt.Sprint(told) != want {
			t.Errorf("%v, %v, want %s", told, err, want)
		}
	})
}

// TestSlowWatchLosesChanges: its queue has a bound, and what comes after the loss is told.
func TestSlowWatchLosesChanges(t *testing.T) {
	p := New()
	if err := p.Configure(t.Context(), backend.Config{}); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var got []backend.StateNews
	stop := errors.New("stop")
	err := p.Watch(t.Context(), backend.StateWatch{Namespace: "n"}, func(n *backend.StateNews) error {
		if got = append(got, *n); len(got) == 2 {
			return stop
		}
		for i := range backend.MaxStateBatch + 3 {
			if _, err := p.Put(t.Context(), backend.StatePut{Namespace: "n", Key: fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	if err != stop || len(got) != 2 || !got[1].Lost || len(got[1].Changes) != 3 || got[1].Changes[2].Key != fmt.Sprint(backend.MaxStateBatch+2) {
		t.Errorf("%v: %+v", err, got)
	}
}

// TestCloseEndsWatches.
func TestCloseEndsWatches(t *testing.T) {
	p := New()
	if err := p.Configure(t.Context(), backend.Config{}); err != nil {
		t.Fatal(err)
	}
	err := p.Watch(context.Background(), backend.StateWatch{Namespace: "n"}, func(*backend.StateNews) error { return p.Close() })
	if backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("Watch: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

func TestOptions(t *testing.T) {
	for text, ok := range map[string]bool{"1k": true, "0": true, "much": false, "-1": false} {
		p := New()
		err := p.Configure(t.Context(), backend.Config{Options: map[string]any{"max_bytes": text}})
		p.Close()
		if ok != (err == nil) || err != nil && backend.KindOf(err) != backend.KindInvalidArgument {
			t.Errorf("max_bytes = %q: %v", text, err)
		}
	}
}

package mdbox

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

// fakeResource counts how often it is closed.
type fakeResource struct {
	bytes  int64
	closed atomic.Int32
}

func (r *fakeResource) Close() error       { r.closed.Add(1); return nil }
func (r *fakeResource) MemoryBytes() int64 { return r.bytes }

func opener(r *fakeResource) func() (*fakeResource, error) {
	return func() (*fakeResource, error) { return r, nil }
}

func TestLRUClosesWhatWasUnusedLongest(t *testing.T) {
	l := newLRU[string, *fakeResource](2, 1000)
	var rs [3]fakeResource
	for i, key := range []string{"a", "b", "a", "c"} {
		_, release, err := l.acquire(key, opener(&rs[key[0]-'a']))
		if err != nil {
			t.Fatal(i, err)
		}
		release()
	}
	for i, want := range []int32{0, 1, 0} {
		if got := rs[i].closed.Load(); got != want {
			t.Errorf("%c was closed %d times, want %d", 'a'+i, got, want)
		}
	}
	l.close()
	l.close()
	for i := range rs {
		if got := rs[i].closed.Load(); got != 1 {
			t.Errorf("after close: %c was closed %d times", 'a'+i, got)
		}
	}
	if _, _, err := l.acquire("a", opener(&rs[0])); !errors.Is(err, errCacheClosed) {
		t.Errorf("acquire after close: %v", err)
	}
}

func TestLRUKeepsMemoryLimitButNeverClosesWhatIsUsed(t *testing.T) {
	l := newLRU[int, *fakeResource](100, 100)
	big, small := &fakeResource{bytes: 90}, &fakeResource{bytes: 20}
	_, releaseBig, _ := l.acquire(1, opener(big))
	_, releaseSmall, _ := l.acquire(2, opener(small))
	releaseSmall()
	if small.closed.Load() != 0 || big.closed.Load() != 0 {
		t.Fatal("closed while within the limit")
	}
	releaseBig()
	if small.closed.Load() != 1 || big.closed.Load() != 0 {
		t.Errorf("closed: big %d, small %d; want the older one, small", big.closed.Load(), small.closed.Load())
	}
}

func TestLRUForget(t *testing.T) {
	l := newLRU[int, *fakeResource](10, 100)
	first, second := &fakeResource{}, &fakeResource{}
	_, release, _ := l.acquire(1, opener(first))
	l.forget(1)
	v, release2, _ := l.acquire(1, opener(second))
	if v != second || first.closed.Load() != 0 {
		t.Errorf("got the forgotten one, or closed it (%d) while it was used", first.closed.Load())
	}
	release()
	release2()
	if first.closed.Load() != 1 || second.closed.Load() != 0 {
		t.Errorf("closed: first %d, second %d", first.closed.Load(), second.closed.Load())
	}
	l.forget(1)
	l.forget(1)
	if second.closed.Load() != 1 {
		t.Errorf("forgotten while unused: closed %d times", second.closed.Load())
	}
}

func TestLRUFailedOpenIsNotKept(t *testing.T) {
	l := newLRU[int, *fakeResource](10, 100)
	bad := errors.New("bad")
	if _, _, err := l.acquire(1, func() (*fakeResource, error) { return nil, bad }); err != bad {
		t.Errorf("error %v", err)
	}
	r := &fakeResource{}
	if v, release, err := l.acquire(1, opener(r)); err != nil || v != r {
		t.Errorf("second open: %v, %v", v, err)
	} else {
		release()
	}
}

func TestLRUOpensOnceForConcurrentUsers(t *testing.T) {
	l := newLRU[int, *fakeResource](10, 100)
	var opened atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				_, release, err := l.acquire(1, func() (*fakeResource, error) {
					opened.Add(1)
					return &fakeResource{}, nil
				})
				if err != nil {
					t.Error(err)
					return
				}
				release()
			}
		})
	}
	wg.Wait()
	if opened.Load() != 1 {
		t.Errorf("opened %d times", opened.Load())
	}
}

package mdbox

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestLRUClosesWhatIsNotUsedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLRU[string, *fakeResource](100, 1<<20)
		emptied := 0
		l.idle, l.emptied = 5*time.Second, func() { emptied++ }
		var a, b, used fakeResource
		use := func(key string, r *fakeResource) func() {
			_, release, err := l.acquire(key, opener(r))
			if err != nil {
				t.Fatal(err)
			}
			return release
		}
		release := use("used", &used)
		use("a", &a)()
		time.Sleep(3 * time.Second)
		use("b", &b)()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if a.closed.Load() != 1 || b.closed.Load() != 0 {
			t.Errorf("after 6 s and 3 s: closed %d and %d times", a.closed.Load(), b.closed.Load())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if b.closed.Load() != 1 || used.closed.Load() != 0 || emptied != 0 {
			t.Errorf("closed %d times, what is in use %d times, emptied %d times", b.closed.Load(), used.closed.Load(), emptied)
		}
		release()
		time.Sleep(time.Minute)
		synctest.Wait()
		if used.closed.Load() != 1 || emptied != 1 {
			t.Errorf("after its last use: closed %d times, emptied %d times", used.closed.Load(), emptied)
		}
		use("a", &a)()
		l.close()
		if a.closed.Load() != 2 {
			t.Error("not closed with all others")
		}
	})
}

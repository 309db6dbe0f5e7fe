package heap

import (
	"runtime"
	"testing"
)

func TestFreeLeavesTheProcessorsAsTheyWere(t *testing.T) {
	was := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(was)
	for _, n := range []int{was, 3} {
		runtime.GOMAXPROCS(n)
		Free()
		if got := runtime.GOMAXPROCS(0); got != n {
			t.Errorf("%d processors, %d before", got, n)
		}
	}
}

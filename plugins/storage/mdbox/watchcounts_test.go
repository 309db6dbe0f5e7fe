package mdbox

import (
	"math/rand/v2"
	"testing"
)

func TestWatchCountsAgainstModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	c, model := newWatchCounts(), map[int32]int{}
	for step := range 20_000 {
		wd := rnd.Int32N(300)
		if rnd.IntN(2) == 0 {
			c.add(wd)
			model[wd]++
			continue
		}
		last := c.remove(wd)
		if want := model[wd] == 1; last != want {
			t.Fatalf("step %d: the last use of %d: %t, want %t", step, wd, last, want)
		}
		if model[wd] > 1 {
			model[wd]--
		} else {
			delete(model, wd)
		}
		if c.watches != len(model) {
			t.Fatalf("step %d: %d watches, want %d", step, c.watches, len(model))
		}
	}
	if c.remove(-1) {
		t.Error("a number that no watch has was counted")
	}
	for wd, n := range model {
		for range n {
			c.remove(wd)
		}
	}
	if len(c.used) != 0 || len(c.more) != 0 || c.watches != 0 {
		t.Errorf("left: %+v", c)
	}
}

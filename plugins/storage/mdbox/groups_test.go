package mdbox

import (
	"slices"
	"testing"
	"time"
)

func TestGroupsAreRemembered(t *testing.T) {
	now, asked := time.Unix(1e9, 0), 0
	c := groupCache{ttl: time.Minute, clock: func() time.Time { return now }, ask: func(o owner) []int { asked++; return []int{o.uid, asked} }}
	want := func(o owner, n int) {
		t.Helper()
		if got := c.of(o); !slices.Equal(got, []int{o.uid, n}) {
			t.Errorf("%v: %v, want answer %d", o, got, n)
		}
	}
	want(owner{1, 1}, 1)
	want(owner{1, 1}, 1)
	want(owner{2, 1}, 2)
	now = now.Add(time.Minute - 1)
	want(owner{1, 1}, 1)
	now = now.Add(1)
	want(owner{1, 1}, 3)
	for i := range 2 * groupsKept {
		c.of(owner{1000 + i, 1})
	}
	if len(c.known) != groupsKept {
		t.Errorf("%d owners are remembered", len(c.known))
	}
	c = groupCache{clock: c.clock, ask: c.ask}
	n := asked
	want(owner{1, 1}, n+1)
	want(owner{1, 1}, n+2)
}

package mdbox

import (
	"fmt"
	"testing"
	"time"
)

func TestStoresAreLookedAtOnceAnHour(t *testing.T) {
	now := time.Unix(1e9, 0)
	r := recovered{clock: func() time.Time { return now }}
	a, b := place{attachments: "a"}, place{attachments: "b"}
	want := func(what string, p place, due bool) {
		t.Helper()
		if got := r.due(p); got != due {
			t.Errorf("%s: %v, want %v", what, got, due)
		}
	}
	want("the first time", a, true)
	want("the second time", a, false)
	want("another store", b, true)
	now = now.Add(recoveredFor - time.Second)
	want("before the hour is over", a, false)
	now = now.Add(time.Second)
	want("after an hour", a, true)
	now = now.Add(-2 * recoveredFor)
	want("when the clock was set back", a, true)
	// With more stores than slots some are looked at again, and none is forgotten to be looked at.
	for i := range 2 * recoveredSlots {
		want("each store for the first time", place{attachments: fmt.Sprint(i)}, true)
	}
}

package quiet_test

import (
	"runtime/metrics"
	"testing"

	"github.com/roostmail/roost/core/quiet"
)

// TestBallastIsPartOfTheGoal: garbage may grow by the ballast.
func TestBallastIsPartOfTheGoal(t *testing.T) {
	goal := func() uint64 {
		quiet.FreeMemory()
		m := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
		metrics.Read(m)
		return m[0].Value.Uint64()
	}
	before := goal()
	quiet.Ballast()
	with := goal()
	quiet.Ballast()
	if again := goal(); with < before+8<<20 || again > with+4<<20 {
		t.Errorf("collections begin at %d bytes, with the ballast at %d, after a second call at %d", before, with, again)
	}
}

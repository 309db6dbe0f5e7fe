package mdbox

import (
	"testing"

	"github.com/roostmail/roost/mdbox"
)

// TestHighestModSeqOfIndexThatIsBehind: an index whose header names a lower modseq than a message has can be shown, and the answer is one that core takes.
func TestHighestModSeqOfIndexThatIsBehind(t *testing.T) {
	for header, want := range map[uint64]uint64{1: 7, 7: 7, 9: 9} {
		s := &mdbox.Snapshot{HighestModSeq: header}
		s.Messages.ModSeqs = []uint64{2, 7, 3}
		if got := snapshot(s).HighestModSeq; got != want {
			t.Errorf("header %d: highest modseq %d, want %d", header, got, want)
		}
	}
}

package index

import (
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/roostmail/roost/mdbox/translog"
)

func expungedSince(t *testing.T, x *Index, modseq uint64) []uint32 {
	t.Helper()
	rs, err := x.ExpungedSince(modseq)
	if err != nil {
		t.Fatalf("since %d: %v", modseq, err)
	}
	var out []uint32
	for _, r := range rs {
		out = append(out, r.First, r.Last)
	}
	return out
}

func TestExpungedSince(t *testing.T) {
	l := newTestLog(t)
	l.add(true, appends(1, 2, 3, 4, 5, 6, 7, 8))                                                   // modseq 2
	l.add(false, translog.Expunges(ranges(2, 2)))                                                  // a request counts for nothing
	l.add(true, translog.Expunges(ranges(2, 2)))                                                   // 3
	l.add(true, translog.FlagUpdates{{UIDs: translog.UIDRange{First: 1, Last: 1}, Add: FlagSeen}}) // 4
	l.add(true, translog.Expunges(ranges(4, 4, 6, 7)))                                             // 5
	x := l.open()
	for _, c := range []struct {
		since uint64
		want  []uint32
	}{
		{1, []uint32{2, 2, 4, 4, 6, 7}},
		{2, []uint32{2, 2, 4, 4, 6, 7}},
		{3, []uint32{4, 4, 6, 7}},
		{4, []uint32{4, 4, 6, 7}},
		{5, nil},
		{99, nil},
	} {
		if got := expungedSince(t, x, c.since); !slices.Equal(got, c.want) {
			t.Errorf("since %d: %v, want %v", c.since, got, c.want)
		}
	}

	l.rotate(5)
	l.add(true, translog.ExpungeGUIDs{{UID: 3}, {UID: 5}}) // 6
	l.refresh(x)
	for since, want := range map[uint64][]uint32{2: {2, 7}, 4: {3, 7}, 5: {3, 3, 5, 5}, 6: nil} {
		if got := expungedSince(t, x, since); !slices.Equal(got, want) {
			t.Errorf("after a rotation, since %d: %v, want %v", since, got, want)
		}
	}

	if err := os.Remove(l.path() + ".2"); err != nil {
		t.Fatal(err)
	}
	if got := expungedSince(t, x, 5); !slices.Equal(got, []uint32{3, 3, 5, 5}) {
		t.Errorf("without the older log: %v", got)
	}
	if rs, err := x.ExpungedSince(4); !errors.Is(err, ErrHistoryGone) {
		t.Errorf("of a lost time: %v, %v", rs, err)
	}
}

// What a reset has removed is in no record.
func TestExpungedSinceReset(t *testing.T) {
	l := newTestLog(t)
	l.hdr.InitialModSeq = 10
	l.add(true, appends(1, 2, 3))                // 11
	l.add(true, translog.Expunges(ranges(2, 2))) // 12
	x := l.open()
	for _, since := range []uint64{1, 9, 10} {
		if rs, err := x.ExpungedSince(since); !errors.Is(err, ErrHistoryGone) {
			t.Errorf("since %d: %v, %v", since, rs, err)
		}
	}
	if got := expungedSince(t, x, 11); !slices.Equal(got, []uint32{2, 2}) {
		t.Errorf("since 11: %v", got)
	}
}

func TestWithoutUIDsInUse(t *testing.T) {
	l := newTestLog(t)
	l.add(true, appends(2, 5, 6, 9))
	s := l.open().State()
	var got []uint32
	for _, r := range s.without(ranges(6, 400, 1, 3, 2, 5, 3, 3)) {
		got = append(got, r.First, r.Last)
	}
	if want := []uint32{1, 1, 3, 4, 7, 8}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestExpungedSinceHeaderSetBack: a process that enables modseqs a second time, with an old state, writes a highest one that is none any more.
func TestExpungedSinceHeaderSetBack(t *testing.T) {
	l := newTestLog(t)
	enable := func(highest uint64) {
		l.add(false, translog.ExtIntros{{ExtID: translog.ExtIDByName, Name: extModSeq, HdrSize: modSeqHeaderSize, RecordSize: modSeqRecordSize, RecordAlign: modSeqRecordSize, NoShrink: true}},
			translog.ExtHdrUpdates{{Data: ModSeqHeader{Highest: highest}.Append(nil)}})
	}
	l.add(true, appends(1, 2, 3, 4)) // 2
	enable(2)
	l.add(true, translog.Expunges(ranges(2, 2))) // 3
	l.add(true, translog.Expunges(ranges(3, 3))) // 4
	enable(2)
	x := l.open()
	if h := x.State().HighestModSeq(); h != 4 {
		t.Fatalf("highest modseq %d: Dovecot says 4", h)
	}
	for since, want := range map[uint64][]uint32{2: {2, 3}, 3: {3, 3}, 4: nil} {
		if got := expungedSince(t, x, since); !slices.Equal(got, want) {
			t.Errorf("since %d: %v, want %v", since, got, want)
		}
	}
}

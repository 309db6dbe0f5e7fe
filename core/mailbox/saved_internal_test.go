package mailbox

import (
	"reflect"
	"testing"
)

func sampleExtra() extra {
	return extra{
		position: []byte("a position that is long"),
		claims:   []claim{{first: 3, next: 5, owner: 1<<40 | 7}, {first: 5, next: 6, owner: 8}},
		keywords: []string{"$Work", ""},
		steps: []savedStep{
			{pins: 2, limits: limits{uidNext: 9, firstRecent: 3, highestModSeq: 1 << 60, keywords: 1},
				expunged: []savedMessage{{uid: 1, system: 8, modseq: 4}, {uid: 4, keywords: []uint64{1, 2}, modseq: 5}}, flagged: []uint32{2, 3}, touched: []uint32{8}},
			{limits: limits{uidNext: 10}, all: true},
			{limits: limits{uidNext: 10}},
		},
	}
}

func TestExtraComesBack(t *testing.T) {
	for _, want := range []extra{sampleExtra(), {}} {
		got, err := decodeExtra(want.append(nil))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v\nwant %+v", got, err, want)
		}
	}
}

func FuzzExtra(f *testing.F) {
	x := sampleExtra()
	f.Add(x.append(nil))
	f.Add([]byte{extraVersion, 0, 0, 0, 0})
	f.Add([]byte{extraVersion, 1}) // a length that is longer than what follows
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := decodeExtra(b)
		if err != nil {
			return
		}
		again, err := decodeExtra(x.append(nil))
		if err != nil || !reflect.DeepEqual(again, x) {
			t.Errorf("%+v, %v\nwant %+v", again, err, x)
		}
	})
}

// TestEntrySaysWhichVersionItDescribes: the current version may be ahead of what is saved.
func TestEntrySaysWhichVersionItDescribes(t *testing.T) {
	var e entry
	if v, ok := e.savedVersion(); ok || e.current() != 0 {
		t.Errorf("a new entry describes version %d", v)
	}
	e.setCurrent(1)
	if _, ok := e.savedVersion(); ok || e.current() != 1 {
		t.Error("a version that was never saved is described")
	}
	e.version.Store(1 << 8)
	for v := uint64(2); v < 300; v++ {
		e.setCurrent(v)
		saved, ok := e.savedVersion()
		if e.current() != v || ok != (v < 1+unsaved) || ok && saved != 1 {
			t.Fatalf("version %d: current %d, saved %d %t", v, e.current(), saved, ok)
		}
	}
}

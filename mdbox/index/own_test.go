package index_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// openCounter counts how often a log is opened to be read.
type openCounter struct {
	vfs.FS
	opened int
}

func (c *openCounter) Open(name string) (vfs.File, error) {
	c.opened++
	return c.FS.Open(name)
}

// What an index has written itself it tells of without reading the log, and as one does that reads it: whoever else writes in between.
func TestChangesOfOwnWrites(t *testing.T) {
	w := &index.Writing{Lock: &filelock.Config{DotlockExcl: true}, RotateMaxSize: 20_000}
	made, l := newIndex(t, w)
	unlock(t, l)
	fsys := &openCounter{FS: vfs.OS}
	x, err := index.Open(index.Options{FS: fsys, Dir: filepath.Dir(made.Path())})
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	next := uint32(6)
	var positions []index.Position
	own, read := 0, 0 // changes by x, and how often the log was read for one
	for i := range 3000 {
		who := x
		if rnd.IntN(4) == 0 {
			who = made
		}
		l := lock(t, who, w)
		since := l.State().Position()
		positions = append(positions, since)
		records := []translog.NewRecord{{Payload: translog.FlagUpdates{{UIDs: translog.UIDRange{First: 1, Last: 1 + rnd.Uint32N(next)}, Add: uint8(1 << rnd.IntN(5))}}}}
		switch rnd.IntN(4) {
		case 0:
			records = append(records, external(translog.Appends{{UID: next}}))
			next++
		case 1:
			records = append(records, external(translog.ExpungeGUIDs{{UID: 1 + rnd.Uint32N(next)}}))
		}
		if rnd.IntN(2) == 0 {
			err = l.CommitDone(false, records...)
		} else if err = l.Commit(false, records...); err == nil {
			err = l.CommitTail()
		}
		if err == nil {
			err = l.Maintain()
		}
		if err != nil {
			t.Fatalf("seed %d, round %d: %v", seed, i, err)
		}
		rotated := l.State().Pos().FileSeq != since.Log.FileSeq
		unlock(t, l)
		if _, err := x.Refresh(); err != nil {
			t.Fatal(err)
		}
		before := fsys.opened
		if _, err := x.Changes(since); err != nil {
			t.Fatalf("seed %d, round %d: %v", seed, i, err)
		}
		if who == x && !rotated {
			own++
			if fsys.opened > before {
				read++ // what is kept has begun anew within the change
			}
		}
		for _, p := range []index.Position{since, positions[rnd.IntN(len(positions))], positions[max(0, len(positions)-3)]} {
			got, err := x.Changes(p)
			if err != nil {
				continue // beyond .log.2
			}
			y, err := index.Open(index.Options{Dir: filepath.Dir(made.Path())})
			if err != nil {
				t.Fatal(err)
			}
			want, err := y.Changes(p)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d, round %d, since %v: %+v, read from the log %+v, %v", seed, i, p, got, want, err)
			}
		}
	}
	if read > own/20 {
		t.Errorf("seed %d: of %d changes, the log was read for %d", seed, own, read)
	}
	if _, err := os.Stat(made.Path() + ".log.2"); err != nil {
		t.Errorf("the log was never rotated: %v", err)
	}
}

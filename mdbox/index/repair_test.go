package index_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/translog"
)

// Whatever is left of an index can be locked and made a sound one.
func TestRepair(t *testing.T) {
	all := []uint32{1, 2, 3, 4, 5}
	junk := []byte("this is no file of an index, and it is longer than its header is, which has a hundred and twenty bytes or more of them")
	for name, c := range map[string]struct {
		log, snapshot []byte // nil: missing; "=": as it was
		left          []uint32
		damaged       bool
	}{
		"sound":                             {[]byte("="), []byte("="), all, false},
		"no log":                            {nil, []byte("="), all, false},
		"no snapshot, the log begins later": {[]byte("="), nil, nil, true},
		"nothing":                           {nil, nil, nil, false},
		"broken log":                        {junk, []byte("="), all, true},
		"broken snapshot":                   {[]byte("="), junk, nil, true},
		"both broken":                       {junk, junk, nil, true},
		"no log, broken snapshot":           {nil, junk, nil, true},
		"empty files":                       {[]byte{}, []byte{}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := &index.Writing{RotateMaxSize: 1}
			x, l := newIndex(t, w)
			if err := errors.Join(l.CommitTail(), l.Maintain()); err != nil {
				t.Fatal(err)
			}
			unlock(t, l)
			for path, b := range map[string][]byte{x.Path(): c.snapshot, x.Path() + ".log": c.log, x.Path() + ".log.2": nil} {
				var err error
				if b == nil {
					err = os.Remove(path)
				} else if string(b) != "=" {
					err = os.WriteFile(path, b, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			o := index.Options{Dir: filepath.Dir(x.Path())}
			y, l, err := index.Repair(context.Background(), o, w)
			if err != nil {
				t.Fatal(err)
			}
			problems, _ := y.Damage()
			if got := y.State().UIDs(); !slices.Equal(got, c.left) || len(problems) > 0 != c.damaged {
				t.Errorf("UIDs %v, want %v; damage %v", got, c.left, problems)
			}
			if err := l.Commit(false, external(index.LastTempFileScanUpdate(1))); err == nil == c.damaged {
				t.Errorf("Commit: %v", err)
			}
			if err := l.Reset(70, y.State().Records(nil)...); err != nil {
				t.Fatal(err)
			}
			uid := l.State().NextUID()
			if err := l.Commit(false, external(index.UIDValidityUpdate(77)), external(translog.Appends{{UID: uid}})); err != nil {
				t.Error(err)
			}
			unlock(t, l)
			z, err := index.Open(o)
			if err != nil {
				t.Fatal(err)
			}
			if d, _ := z.Damage(); len(d) > 0 || !slices.Equal(z.State().UIDs(), append(slices.Clone(c.left), uid)) || z.State().HighestModSeq() < 71 {
				t.Errorf("after Reset: damage %v, UIDs %v, highest modseq %d", d, z.State().UIDs(), z.State().HighestModSeq())
			}
		})
	}
}

// Dovecot goes on with a log that was made in the place of a missing one.
func TestDovecotReadsAReplacedLog(t *testing.T) {
	store := mdboxtest.MakeStore(t, "--content", "tiny")
	s := newSession(t, store, "INBOX", 1, nil)
	before := store.Describe(t, "INBOX", true)
	l := lock(t, s.box, &index.Writing{Lock: s.boxW.Lock, RotateMaxSize: 1})
	if err := errors.Join(l.CommitTail(), l.Maintain()); err != nil { // a snapshot of everything
		t.Fatal(err)
	}
	unlock(t, l)
	for _, name := range []string{".log", ".log.2"} {
		if err := os.Remove(s.box.Path() + name); err != nil {
			t.Fatal(err)
		}
	}
	x, l, err := index.Repair(context.Background(), s.options(store), s.boxW)
	if err != nil {
		t.Fatal(err)
	}
	unlock(t, l)
	compare(t, x, before)
	after := store.Describe(t, "INBOX", true)
	compare(t, x, after)
	noErrors(t, store)
}

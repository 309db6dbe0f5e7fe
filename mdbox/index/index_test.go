package index

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

func isDeleted(err error) bool { return errors.Is(err, ErrDeleted) }

func TestOpenNothing(t *testing.T) {
	if _, err := Open(Options{Dir: t.TempDir()}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of an empty directory: %v, want fs.ErrNotExist", err)
	}
}

// A reader that refreshes at every length of a log sees what was complete then.
func TestRefreshOfAGrowingLog(t *testing.T) {
	l := newTestLog(t)
	l.add(true, appends(1, 2, 3), extIntro("x", 0, 2, 2), recs(2, 3, 5, 5))
	l.add(false, translog.FlagUpdates{{UIDs: ranges(1, 2)[0], Add: FlagSeen}})
	l.add(true, translog.KeywordUpdate{Name: "k", UIDs: ranges(2, 3)}, translog.Expunges(ranges(2, 2)), appends(4))
	whole := append(l.hdr.Append(nil), l.body...)
	l.writeFile(l.path(), whole[:translog.HeaderSize])
	x := l.open()
	for n := translog.HeaderSize + 1; n <= len(whole); n++ {
		l.writeFile(l.path(), whole[:n])
		l.refresh(x)
	}
	s := x.State()
	if !slices.Equal(s.UIDs(), []uint32{1, 3, 4}) || !slices.Equal(s.Flags(), []uint8{FlagSeen, 0, 0}) ||
		!slices.Equal(s.Ext("x").Column(), []byte{0, 0, 5, 5, 0, 0}) || s.HighestModSeq() != 6 {
		t.Errorf("UIDs %v, flags %v, x %v, highest modseq %d", s.UIDs(), s.Flags(), s.Ext("x").Column(), s.HighestModSeq())
	}
	wantDamage(t, x, 0)
}

// readCounter counts the bytes that are read through it.
type readCounter struct {
	vfs.FS
	n int64
}

func (c *readCounter) Open(name string) (vfs.File, error) {
	f, err := c.FS.Open(name)
	return countedFile{f, c}, err
}

type countedFile struct {
	vfs.File
	c *readCounter
}

func (f countedFile) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(b, off)
	f.c.n += int64(n)
	return n, err
}

func TestRefreshReadsOnlyWhatIsNew(t *testing.T) {
	l := newTestLog(t)
	for i := range uint32(1000) {
		l.body = translog.AppendRecord(l.body, translog.RecordHeader{External: true}, appends(i+1))
	}
	l.write()
	c := &readCounter{FS: vfs.OS}
	x, err := Open(Options{FS: c, Dir: l.dir})
	if err != nil {
		t.Fatal(err)
	}
	c.n = 0
	if changed, err := x.Refresh(); changed || err != nil || c.n != 0 {
		t.Errorf("Refresh without change: %v, %v, %d bytes read", changed, err, c.n)
	}
	l.add(true, appends(5000))
	if changed, err := x.Refresh(); !changed || err != nil || c.n > 1024 {
		t.Errorf("Refresh after a record of 16 bytes: %v, %v, %d bytes read, want its bytes and the start of the file", changed, err, c.n)
	}
	if x.State().Len() != 1001 {
		t.Errorf("%d messages", x.State().Len())
	}
}

func TestRotation(t *testing.T) {
	l := newTestLog(t)
	l.add(true, appends(1, 2))
	x := l.open()
	l.add(true, appends(3))
	l.rotate(3)
	l.writeFile(filepath.Join(l.dir, "dovecot.index"), x.State().AppendSnapshot(nil))
	l.refresh(x) // the rest of .log.2, and an empty .log
	l.add(true, appends(4))
	l.refresh(x)
	if s := x.State(); !slices.Equal(s.UIDs(), []uint32{1, 2, 3, 4}) || s.HighestModSeq() != 4 || s.Pos() != l.end() {
		t.Errorf("UIDs %v, highest modseq %d, position %v", s.UIDs(), s.HighestModSeq(), s.Pos())
	}
	// A stale snapshot at the very end of .log.2 is good without .log.2.
	y := l.open()
	l.rotate(4)
	l.writeFile(filepath.Join(l.dir, "dovecot.index"), y.State().AppendSnapshot(nil))
	if err := os.Remove(l.path() + ".2"); err != nil {
		t.Fatal(err)
	}
	l.add(true, appends(5))
	if s := l.open().State(); !slices.Equal(s.UIDs(), []uint32{1, 2, 3, 4, 5}) || s.HighestModSeq() != 5 {
		t.Errorf("from the end of a file that is gone: UIDs %v, highest modseq %d", s.UIDs(), s.HighestModSeq())
	}
	wantDamage(t, x, 0)
}

// Two rotations between two refreshes: the log no longer reaches back, and
// everything is read again.
func TestRefreshAfterLostHistory(t *testing.T) {
	l := newTestLog(t)
	l.add(true, appends(1, 2))
	x := l.open()
	for i := range uint32(2) {
		l.add(true, appends(3+i))
		y := l.open()
		l.rotate(3 + uint64(i))
		l.writeFile(filepath.Join(l.dir, "dovecot.index"), y.State().AppendSnapshot(nil))
	}
	old := x.State().Position()
	l.refresh(x)
	if s := x.State(); !slices.Equal(s.UIDs(), []uint32{1, 2, 3, 4}) {
		t.Errorf("UIDs %v", s.UIDs())
	}
	if _, err := x.Changes(old); !errors.Is(err, ErrHistoryGone) {
		t.Errorf("Changes: %v, want ErrHistoryGone", err)
	}
	wantDamage(t, x, 0)
}

func TestReset(t *testing.T) {
	l := newTestLog(t)
	l.add(true, appends(1, 2, 3), extIntro("x", 0, 2, 2))
	x := l.open()
	l.writeFile(filepath.Join(l.dir, "dovecot.index"), x.State().AppendSnapshot(nil))
	old := x.State().Position()
	l.rotate(9)
	l.hdr.PrevFileSeq, l.hdr.PrevFileOffset = 0, 0
	l.add(true, translog.HeaderUpdates{{Offset: offUIDValidity, Data: []byte{100, 0, 0, 0}}}, appends(7))
	l.refresh(x)
	if s := x.State(); !slices.Equal(s.UIDs(), []uint32{7}) || s.Ext("x") != nil || s.UIDValidity() != 100 || s.HighestModSeq() != 10 {
		t.Errorf("UIDs %v, uid_validity %d, highest modseq %d", s.UIDs(), s.UIDValidity(), s.HighestModSeq())
	}
	if _, err := x.Changes(old); !errors.Is(err, ErrHistoryGone) {
		t.Errorf("Changes: %v, want ErrHistoryGone", err)
	}
	wantDamage(t, x, 0)
}

func TestRefreshOfADeletedMailbox(t *testing.T) {
	l := newTestLog(t)
	l.add(true, appends(1))
	x := l.open()
	if err := os.RemoveAll(l.dir); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Refresh(); !isDeleted(err) || x.State().Len() != 1 {
		t.Errorf("Refresh: %v, want ErrDeleted; %d messages, want the state as it was", err, x.State().Len())
	}
}

func TestChanges(t *testing.T) {
	l := newTestLog(t)
	l.add(true, appends(1, 2, 3, 4, 5, 6))
	x := l.open()
	start := x.State().Position()
	l.add(false, translog.FlagUpdates{{UIDs: ranges(1, 2)[0], Add: 1}}, translog.ExpungeGUIDs{{UID: 3}},
		translog.FlagUpdates{{UIDs: ranges(5, 5)[0], Add: FlagBackend}})
	l.add(true, translog.ExpungeGUIDs{{UID: 3}, {UID: 2}}, appends(7, 8))
	l.refresh(x)
	middle := x.State().Position()
	l.add(true, translog.KeywordUpdate{Name: "k", UIDs: ranges(4, 7)}, translog.ExpungeGUIDs{{UID: 7}, {UID: 6}})
	l.rotate(x.State().HighestModSeq() + 2)
	l.add(true, translog.ModSeqUpdates{{UID: 8, ModSeq: 50}, {ModSeq: 51}}, appends(20))
	// The snapshot is missing: with .log.2, which starts the index, the log is complete.
	l.refresh(x)
	end := x.State().Position()
	for _, c := range []struct {
		name                        string
		since                       Position
		appended, updated, expunged []uint32
	}{
		{"all", start, []uint32{8, 20}, []uint32{1, 4, 5}, []uint32{2, 3, 6}},
		{"the second half", middle, []uint32{20}, []uint32{4, 5, 8}, []uint32{6, 7}},
		{"nothing", end, nil, nil, nil},
	} {
		parsed, err := ParsePosition(c.since.Append(nil))
		if err != nil || parsed != c.since {
			t.Fatalf("position %v became %v, %v", c.since, parsed, err)
		}
		// A new process gives the same answer.
		for _, x := range []*Index{x, l.open()} {
			got, err := x.Changes(parsed)
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			if !slices.Equal(got.Appended, c.appended) || !slices.Equal(got.Updated, c.updated) || !slices.Equal(got.Expunged, c.expunged) || got.To != end {
				t.Errorf("%s: %+v, want %v, %v, %v to %v", c.name, got, c.appended, c.updated, c.expunged, end)
			}
		}
	}
	for name, p := range map[string]Position{
		"another index":     {IndexID: 78, UIDValidity: start.UIDValidity, Log: start.Log},
		"another mailbox":   {IndexID: start.IndexID, UIDValidity: 98, Log: start.Log},
		"the future":        {IndexID: start.IndexID, UIDValidity: start.UIDValidity, Log: translog.Pos{FileSeq: 9, Offset: 40}},
		"within a record":   {IndexID: start.IndexID, UIDValidity: start.UIDValidity, Log: translog.Pos{FileSeq: start.Log.FileSeq, Offset: start.Log.Offset - 4}},
		"before the header": {IndexID: start.IndexID, UIDValidity: start.UIDValidity, Log: translog.Pos{FileSeq: start.Log.FileSeq, Offset: 8}},
	} {
		if got, err := x.Changes(p); !errors.Is(err, ErrHistoryGone) {
			t.Errorf("since %s: %+v, %v, want ErrHistoryGone", name, got, err)
		}
	}
}

func TestChangesOfTooManyExpunges(t *testing.T) {
	l := newTestLog(t)
	l.add(true, appends(1, 1<<31))
	x := l.open()
	start := x.State().Position()
	l.add(true, translog.Expunges(ranges(1, 1<<30)))
	l.refresh(x)
	if _, err := x.Changes(start); !errors.Is(err, ErrHistoryGone) {
		t.Errorf("Changes: %v, want ErrHistoryGone", err)
	}
}

func TestLimitsNameThemselves(t *testing.T) {
	l := newTestLog(t)
	l.add(true, appends(1, 2, 3, 4, 5, 6, 7, 8, 9, 10))
	if _, err := Open(Options{Dir: l.dir, MaxFileBytes: 64}); !errors.Is(err, vfs.ErrTooLarge) {
		t.Errorf("MaxFileBytes: %v, want vfs.ErrTooLarge", err)
	}
	x, err := Open(Options{Dir: l.dir, MaxStateBytes: 40})
	if err != nil {
		t.Fatal(err)
	}
	wantDamage(t, x, 1)
}

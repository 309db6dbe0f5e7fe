package index

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// sound opens an index that must be without damage.
func sound(t testing.TB, dir string) *Index {
	t.Helper()
	x, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	wantDamage(t, x, 0)
	return x
}

func edit(t testing.TB, path string, change func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

// sameMessages compares UIDs, flags and the columns of all extensions.
func sameMessages(t testing.TB, name string, got, want *State) {
	t.Helper()
	if !slices.Equal(got.UIDs(), want.UIDs()) || !slices.Equal(got.Flags(), want.Flags()) || !slices.Equal(got.Keywords(), want.Keywords()) {
		t.Errorf("%s: UIDs %v, flags %v, keywords %v; want %v, %v, %v", name, got.UIDs(), got.Flags(), got.Keywords(), want.UIDs(), want.Flags(), want.Keywords())
	}
	for i := range want.Len() {
		for _, e := range want.Exts() {
			if g := got.Ext(e.Name); g == nil || i >= got.Len() || !slices.Equal(g.Record(i), e.Record(i)) {
				t.Errorf("%s: message %d differs in %q", name, i, e.Name)
			}
		}
	}
}

func TestUnusableSnapshotIsReplacedByTheLog(t *testing.T) {
	l := newTestLog(t)
	l.add(true, appends(1, 2, 3), extIntro("x", 0, 2, 2), recs(2, 3, 5, 5))
	x := l.open()
	snapshot := filepath.Join(l.dir, "dovecot.index")
	good := x.State().AppendSnapshot(nil)
	l.writeFile(snapshot, good)
	l.add(true, appends(4))
	want := l.open().State()
	for name, change := range map[string]func(b []byte) []byte{
		"empty":          func([]byte) []byte { return nil },
		"truncated":      func(b []byte) []byte { return b[:len(b)-1] },
		"other version":  func(b []byte) []byte { b[0] = 6; return b },
		"UIDs unordered": func(b []byte) []byte { b[len(b)-8] = 1; return b },
		"another index":  func(b []byte) []byte { b[offIndexID]++; return b },
	} {
		l.writeFile(snapshot, change(slices.Clone(good)))
		y, err := Open(Options{Dir: l.dir})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		sameMessages(t, name, y.State(), want)
		if d, _ := y.Damage(); len(d) != 1 || d[0].File != snapshot {
			t.Errorf("%s: damage %v, want it in the snapshot", name, d)
		}
		l.add(true, appends(want.NextUID()))
		l.writeFile(snapshot, good)
		if _, err := y.Refresh(); err != nil {
			t.Errorf("%s: Refresh: %v", name, err)
		}
		want = l.open().State()
		sameMessages(t, name+", then refreshed", y.State(), want)
	}
}

// The log does not reach back to the start of the index, and the snapshot is
// unusable: the snapshot before it and the log have everything.
func TestUnusableSnapshotIsReplacedByTheBackup(t *testing.T) {
	l := newTestLog(t)
	l.add(true, appends(1, 2, 3))
	backup := l.open().State().AppendSnapshot(nil)
	l.add(true, appends(4))
	l.rotate(3)
	edit(t, l.path()+".2", func(b []byte) []byte {
		binary.LittleEndian.PutUint32(b[12:], 1) // prev_file_seq: it continues a log that is gone
		return b
	})
	l.writeFile(filepath.Join(l.dir, "dovecot.index.backup"), backup)
	l.writeFile(filepath.Join(l.dir, "dovecot.index"), []byte("garbage"))
	l.add(true, appends(5))
	x, err := Open(Options{Dir: l.dir})
	if err != nil {
		t.Fatal(err)
	}
	if s := x.State(); !slices.Equal(s.UIDs(), []uint32{1, 2, 3, 4, 5}) || s.HighestModSeq() != 4 {
		t.Errorf("UIDs %v, highest modseq %d", s.UIDs(), s.HighestModSeq())
	}
	wantDamage(t, x, 1)

	// Without the backup there is no state that once was: an error, not a mailbox with holes.
	if err := os.Remove(filepath.Join(l.dir, "dovecot.index.backup")); err != nil {
		t.Fatal(err)
	}
	var corrupt *vfs.CorruptError
	if _, err := Open(Options{Dir: l.dir}); !errors.As(err, &corrupt) || corrupt.File != filepath.Join(l.dir, "dovecot.index") {
		t.Errorf("Open: %v, want a CorruptError for the snapshot", err)
	}
}

// A broken record ends what is shown. When Dovecot has repaired the index, all of it is.
func TestBrokenRecordEndsTheState(t *testing.T) {
	l := newTestLog(t)
	l.add(true, appends(1, 2))
	before := l.end()
	l.raw(0x80, 0x80, 0x80, 0x81, 2, 0, 0, 0x10)
	l.add(true, appends(3))
	x, err := Open(Options{Dir: l.dir})
	if err != nil {
		t.Fatal(err)
	}
	if s := x.State(); !slices.Equal(s.UIDs(), []uint32{1, 2}) || s.Pos() != before {
		t.Errorf("UIDs %v up to %v, want 1 and 2 up to %v", s.UIDs(), s.Pos(), before)
	}
	if d, _ := x.Damage(); len(d) != 1 || d[0].File != l.path() || d[0].Offset != int64(before.Offset) {
		t.Errorf("damage %v, want it at %d of the log", d, before.Offset)
	}
	if changed, err := x.Refresh(); changed || err != nil {
		t.Errorf("Refresh without change: %v, %v", changed, err)
	}
	l.writeFile(filepath.Join(l.dir, "dovecot.index"), x.State().AppendSnapshot(nil))
	l.rotate(2)
	l.hdr.PrevFileOffset = before.Offset
	l.add(true, appends(9))
	if changed, err := x.Refresh(); !changed || err != nil {
		t.Errorf("Refresh after the repair: %v, %v", changed, err)
	}
	if s := x.State(); !slices.Equal(s.UIDs(), []uint32{1, 2, 9}) {
		t.Errorf("after the repair: UIDs %v", s.UIDs())
	}
	wantDamage(t, x, 0)
}

func TestBrokenPredecessorEndsTheState(t *testing.T) {
	l := newTestLog(t)
	l.add(true, appends(1))
	before := l.end()
	l.add(true, appends(2))
	l.rotate(3)
	l.add(true, appends(3))
	edit(t, l.path()+".2", func(b []byte) []byte { return b[:before.Offset+4] })
	x, err := Open(Options{Dir: l.dir})
	if err != nil {
		t.Fatal(err)
	}
	if s := x.State(); !slices.Equal(s.UIDs(), []uint32{1}) || s.Pos() != before {
		t.Errorf("UIDs %v up to %v, want 1 up to %v: what follows a gap is not applied", s.UIDs(), s.Pos(), before)
	}
	wantDamage(t, x, 1)
}

func TestTailMustNotRunAhead(t *testing.T) {
	l := newTestLog(t)
	l.add(true, appends(1))
	at := l.end()
	l.add(true, translog.HeaderUpdates{{Offset: offLogTailOffset, Data: binary.LittleEndian.AppendUint32(nil, at.Offset+20)}}, appends(2))
	x, err := Open(Options{Dir: l.dir})
	if err != nil {
		t.Fatal(err)
	}
	if d, _ := x.Damage(); len(d) != 1 || d[0].Offset != int64(at.Offset) || x.State().Len() != 1 {
		t.Errorf("damage %v, %d messages, want it at %d, and one message", d, x.State().Len(), at.Offset)
	}
}

func TestSnapshotWithoutItsLog(t *testing.T) {
	for name, damage := range map[string]func(l *testLog){
		"log missing":               func(l *testLog) { os.Remove(l.path()) },
		"log empty":                 func(l *testLog) { l.writeFile(l.path(), nil) },
		"log marked as corrupted":   func(l *testLog) { l.hdr.IndexID = 0; l.write() },
		"log of a later time":       func(l *testLog) { l.hdr.FileSeq, l.hdr.PrevFileSeq = 9, 8; l.write() },
		"log of an earlier time":    func(l *testLog) { l.hdr.FileSeq, l.hdr.PrevFileSeq = 1, 0; l.write() },
		"log shorter than it says":  func(l *testLog) { l.body = l.body[:16]; l.write() },
		"log of another index":      func(l *testLog) { l.hdr.IndexID, l.hdr.PrevFileSeq = 5, 1; l.write() },
		"snapshot between records":  func(l *testLog) { l.body[16+1]++; l.write() },
		"log of another byte order": func(l *testLog) { l.hdr.CompatFlags = 0; l.write() },
		"log of a future version":   func(l *testLog) { b := l.hdr.Append(nil); b[0] = 2; l.writeFile(l.path(), b) },
	} {
		l := newTestLog(t)
		l.add(true, appends(1, 2, 3))
		x := l.open()
		want := x.State()
		l.writeFile(filepath.Join(l.dir, "dovecot.index"), want.AppendSnapshot(nil))
		damage(l)
		y, err := Open(Options{Dir: l.dir})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		sameMessages(t, name, y.State(), want)
		if d, _ := y.Damage(); len(d) == 0 {
			t.Errorf("%s: no damage reported", name)
		}
		if changed, err := y.Refresh(); changed || err != nil {
			t.Errorf("%s: Refresh: %v, %v", name, changed, err)
		}
		if _, err := x.Refresh(); err != nil && !errors.Is(err, ErrDeleted) {
			t.Errorf("%s: Refresh of one that was open: %v", name, err)
		}
		sameMessages(t, name+", open before", x.State(), want)
	}
}

// Whatever byte of whatever file is wrong: no panic, a consistent state or an
// error that names the file.
func TestAnyWrongByte(t *testing.T) {
	dir := mdboxtest.Golden(t, "dovecot-2.3/small").Mailbox("INBOX")
	want := sound(t, dir).State()
	m := &memFS{files: map[string][]byte{}}
	names := []string{"dovecot.index", "dovecot.index.log", "dovecot.index.log.2", "dovecot.index.backup"}
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		m.put("d/"+name, b)
	}
	for _, name := range names {
		good := m.files["d/"+name]
		for i := range good {
			bad := slices.Clone(good)
			bad[i] ^= 0x81
			m.put("d/"+name, bad)
			x, err := Open(Options{FS: m, Dir: "d"})
			if err != nil {
				var corrupt *vfs.CorruptError
				if !errors.As(err, &corrupt) || corrupt.File == "" {
					t.Errorf("%s, byte %d: %v, want a CorruptError with a file", name, i, err)
				}
				continue
			}
			if err := x.State().Check(); err != nil && len(x.damage) == 0 {
				t.Errorf("%s, byte %d: %v, and no damage reported", name, i, err)
			}
			if _, err := x.Changes(want.Position()); err != nil && !errors.Is(err, ErrHistoryGone) {
				t.Errorf("%s, byte %d: Changes: %v", name, i, err)
			}
		}
		m.put("d/"+name, good)
	}
}

// failingFS fails the n-th operation.
type failingFS struct {
	vfs.FS
	n int
}

var errFailed = errors.New("failed on purpose")

func (f *failingFS) fail() bool { f.n--; return f.n == 0 }

func (f *failingFS) Open(name string) (vfs.File, error) {
	if f.fail() {
		return nil, errFailed
	}
	file, err := f.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return failingFile{file, f}, nil
}

func (f *failingFS) Stat(name string) (vfs.Info, error) {
	if f.fail() {
		return vfs.Info{}, errFailed
	}
	return f.FS.Stat(name)
}

type failingFile struct {
	vfs.File
	f *failingFS
}

func (f failingFile) ReadAt(b []byte, off int64) (int, error) {
	if f.f.fail() {
		return 0, errFailed
	}
	return f.File.ReadAt(b, off)
}

func (f failingFile) Stat() (vfs.Info, error) {
	if f.f.fail() {
		return vfs.Info{}, errFailed
	}
	return f.File.Stat()
}

func TestFailingFileSystem(t *testing.T) {
	l := newTestLog(t)
	l.add(true, appends(1, 2))
	f := &failingFS{FS: vfs.OS}
	l.writeFile(filepath.Join(l.dir, "dovecot.index"), l.open().State().AppendSnapshot(nil))
	l.add(true, appends(3))
	l.rotate(3)
	for n := 1; ; n++ {
		f.n = n
		x, err := Open(Options{FS: f, Dir: l.dir})
		if f.n > 0 {
			if err != nil {
				t.Fatal(err)
			}
			break // the n-th operation was never reached
		}
		if err == nil {
			t.Errorf("operation %d failed, Open did not: %v", n, x.State().UIDs())
		} else if !errors.Is(err, errFailed) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("operation %d: %v", n, err)
		}
	}
	x := l.open()
	x.o.FS = f
	for n := 1; ; n++ {
		l.add(true, appends(x.State().NextUID()+1))
		f.n = n
		_, err := x.Refresh()
		done := f.n > 0
		f.n = 0
		if err != nil != !done || err != nil && !errors.Is(err, errFailed) {
			t.Errorf("operation %d: Refresh: %v", n, err)
		}
		l.refresh(x)
		if done {
			break
		}
	}
}

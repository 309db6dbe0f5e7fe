package index

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/roostmail/roost/mdbox/translog"
)

// testLog writes log files as a test wants them.
type testLog struct {
	t    testing.TB
	dir  string
	hdr  translog.Header
	body []byte // records
}

func newTestLog(t testing.TB) *testLog {
	l := &testLog{t: t, dir: t.TempDir(), hdr: translog.NewHeader()}
	l.hdr.IndexID, l.hdr.FileSeq, l.hdr.CreateStamp, l.hdr.InitialModSeq = 77, 2, 77, 1
	l.add(true, translog.HeaderUpdates{{Offset: offUIDValidity, Data: []byte{99, 0, 0, 0}}})
	return l
}

// add appends one record for each payload and writes the file.
func (l *testLog) add(external bool, ps ...translog.Payload) {
	for _, p := range ps {
		l.body = translog.AppendRecord(l.body, translog.RecordHeader{External: external}, p)
	}
	l.write()
}

// raw appends bytes and writes the file.
func (l *testLog) raw(b ...byte) {
	l.body = append(l.body, b...)
	l.write()
}

func (l *testLog) path() string { return filepath.Join(l.dir, "dovecot.index.log") }

// end is the position behind what was written.
func (l *testLog) end() translog.Pos {
	return translog.Pos{FileSeq: l.hdr.FileSeq, Offset: uint32(int(l.hdr.HdrSize) + len(l.body))}
}

func (l *testLog) write() { l.writeFile(l.path(), append(l.hdr.Append(nil), l.body...)) }

func (l *testLog) writeFile(path string, b []byte) {
	l.t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// rotate makes .log the file .log.2 and begins a new .log.
func (l *testLog) rotate(modSeq uint64) {
	l.t.Helper()
	if err := os.Rename(l.path(), l.path()+".2"); err != nil {
		l.t.Fatal(err)
	}
	end := l.end()
	l.hdr.PrevFileSeq, l.hdr.PrevFileOffset = end.FileSeq, end.Offset
	l.hdr.FileSeq++
	l.hdr.InitialModSeq = modSeq
	l.body = nil
	l.write()
}

func (l *testLog) open() *Index {
	l.t.Helper()
	x, err := Open(Options{Dir: l.dir})
	if err != nil {
		l.t.Fatal(err)
	}
	l.check(x)
	return x
}

func (l *testLog) refresh(x *Index) {
	l.t.Helper()
	if _, err := x.Refresh(); err != nil {
		l.t.Fatal(err)
	}
	l.check(x)
}

// check checks the invariants, and that reading everything anew gives the same state.
func (l *testLog) check(x *Index) {
	l.t.Helper()
	if err := x.State().Check(); err != nil {
		l.t.Error(err)
	}
	y, err := Open(Options{Dir: l.dir})
	if err != nil {
		l.t.Fatal(err)
	}
	if a, b := x.State().AppendSnapshot(nil), y.State().AppendSnapshot(nil); !slices.Equal(a, b) {
		l.t.Errorf("opened anew, the state is another:\n%x, was\n%x", b, a)
	}
	if x.State().HighestModSeq() != y.State().HighestModSeq() || x.State().Tail() != y.State().Tail() {
		l.t.Errorf("opened anew, highest modseq %d and tail %v, was %d and %v", y.State().HighestModSeq(), y.State().Tail(), x.State().HighestModSeq(), x.State().Tail())
	}
}

// wantDamage checks how many problems were noticed.
func wantDamage(t testing.TB, x *Index, n int) {
	t.Helper()
	if d, more := x.Damage(); len(d)+more != n {
		t.Errorf("%d problems, want %d: %v", len(d)+more, n, d)
	}
}

func extIntro(name string, hdr uint32, size, align uint16) translog.ExtIntros {
	return translog.ExtIntros{{ExtID: translog.ExtIDByName, Name: name, HdrSize: hdr, RecordSize: size, RecordAlign: align, NoShrink: true}}
}

func appends(uids ...uint32) translog.Appends {
	var as translog.Appends
	for _, u := range uids {
		as = append(as, translog.AppendedMessage{UID: u})
	}
	return as
}

func recs(size uint16, uid uint32, data ...byte) translog.ExtRecUpdates {
	u := translog.NewExtRecUpdates(size)
	u.Add(uid, data)
	return u
}

func ranges(uids ...uint32) (rs []translog.UIDRange) {
	for i := 0; i < len(uids); i += 2 {
		rs = append(rs, translog.UIDRange{First: uids[i], Last: uids[i+1]})
	}
	return rs
}

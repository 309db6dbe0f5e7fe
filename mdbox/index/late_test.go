package index

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// lateLog is an index with an extension, of which a snapshot is in the file system and the log goes on in steps.
type lateLog struct {
	m    *memFS
	h    translog.Header
	body []byte
}

func (l *lateLog) add(ps ...translog.Payload) {
	for _, p := range ps {
		l.body = translog.AppendRecord(l.body, translog.RecordHeader{External: true}, p)
	}
	l.m.put("d/dovecot.index.log", append(l.h.Append(nil), l.body...))
}

func (l *lateLog) options() Options { return Options{FS: l.m, Dir: "d", MaxStateBytes: 1 << 20} }

func (l *lateLog) snapshot(t testing.TB) []byte {
	x, err := Open(l.options())
	if err != nil {
		t.Fatal(err)
	}
	b := x.State().AppendSnapshot(nil)
	l.m.put("d/dovecot.index", b)
	return b
}

func (l *lateLog) late(t testing.TB) *Index {
	o := l.options()
	o.Late = true
	x, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func newLateLog(t testing.TB) *lateLog {
	l := &lateLog{m: &memFS{files: map[string][]byte{}}, h: translog.NewHeader()}
	l.h.IndexID, l.h.FileSeq, l.h.InitialModSeq = 1, 2, 1
	l.add(UIDValidityUpdate(5), appends(1, 2, 4), extIntro("x", 4, 2, 2), recs(2, 2, 7, 8), translog.KeywordUpdate{Name: "k", UIDs: ranges(2, 4)})
	l.snapshot(t)
	return l
}

// wantWhole compares x, refreshed, with an index that is read at once.
func (l *lateLog) wantWhole(t testing.TB, x *Index) {
	t.Helper()
	if _, err := x.Refresh(); err != nil {
		t.Fatal(err)
	}
	y, err := Open(l.options())
	if err != nil {
		t.Fatal(err)
	}
	if x.state.late != nil {
		t.Error("columns are still late after Refresh")
	}
	if a, b := x.State().AppendSnapshot(nil), y.State().AppendSnapshot(nil); !bytes.Equal(a, b) {
		t.Errorf("read later\n%x, at once\n%x", a, b)
	}
}

func TestLate(t *testing.T) {
	steps := map[string][]translog.Payload{
		"nothing":      nil,
		"flags":        {translog.FlagUpdates{{UIDs: translog.UIDRange{First: 1, Last: 2}, Add: FlagSeen}}},
		"keywords":     {translog.KeywordUpdate{Name: "another", UIDs: ranges(1, 1)}},
		"header":       {NextUIDUpdate(50)},
		"append":       {appends(9)},
		"expunge":      {translog.Expunges(ranges(2, 2))},
		"record":       {extIntro("x", 4, 2, 2), recs(2, 4, 3, 4)},
		"resize":       {extIntro("x", 4, 4, 2)},
		"modseqs":      {extIntro("modseq", 16, 8, 8)},
		"flags, a new": {translog.FlagUpdates{{UIDs: translog.UIDRange{First: 1, Last: 2}, Add: FlagSeen}}, appends(9)},
	}
	for name, ps := range steps {
		t.Run(name, func(t *testing.T) {
			l := newLateLog(t)
			before := l.late(t)
			if before.state.late == nil {
				t.Fatal("no column is late")
			}
			if err := before.State().Check(); err != nil {
				t.Error(err)
			}
			l.add(ps...)
			after := l.late(t)
			for _, p := range ps {
				if postponed := !concernsExts(p.Type()); !postponed && after.state.late != nil {
					t.Errorf("columns are late behind a record of type %v", p.Type())
				}
			}
			whole, err := Open(l.options())
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(after.State().UIDs(), whole.State().UIDs()) || !slices.Equal(after.State().Flags(), whole.State().Flags()) ||
				!slices.Equal(after.State().AppendKeywordColumn(nil), whole.State().AppendKeywordColumn(nil)) || after.State().Position() != whole.State().Position() {
				t.Error("what is not late differs")
			}
			l.wantWhole(t, after)
			l.wantWhole(t, before)
		})
	}
}

// TestLateReplaced: the snapshot that columns were left out of is not there any more.
func TestLateReplaced(t *testing.T) {
	for name, replace := range map[string]func(*lateLog){
		"by a newer one": func(l *lateLog) {
			l.add(appends(9), translog.Expunges(ranges(1, 1)), extIntro("x", 4, 2, 2), recs(2, 9, 1, 2))
			l.snapshot(t)
		},
		"by the same": func(l *lateLog) { l.snapshot(t) },
		"removed":     func(l *lateLog) { delete(l.m.files, "d/dovecot.index") },
		"cut off": func(l *lateLog) {
			b := l.m.files["d/dovecot.index"]
			l.m.files["d/dovecot.index"] = b[:len(b)-3] // with the time it had
		},
		"changed in place": func(l *lateLog) {
			b := slices.Clone(l.m.files["d/dovecot.index"])
			b[len(b)-24]++
			l.m.files["d/dovecot.index"] = b
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLateLog(t)
			x := l.late(t)
			replace(l)
			if _, err := x.RefreshFlags(); err != nil {
				t.Errorf("RefreshFlags: %v", err)
			}
			l.wantWhole(t, x)
		})
	}
}

// TestLateLock: who writes has everything.
func TestLateLock(t *testing.T) {
	l := newTestLog(t)
	l.add(true, appends(1, 2, 4), extIntro("x", 4, 2, 2), recs(2, 2, 7, 8))
	x, err := Open(Options{Dir: l.dir})
	if err != nil {
		t.Fatal(err)
	}
	l.writeFile(x.Path(), x.State().AppendSnapshot(nil))
	x, err = Open(Options{Dir: l.dir, Late: true})
	if err != nil || x.state.late == nil {
		t.Fatalf("no column is late, %v", err)
	}
	locked, err := x.Lock(t.Context(), &Writing{Lock: &filelock.Config{DotlockExcl: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer locked.Unlock()
	if got := locked.State().Ext("x").Record(1); !bytes.Equal(got, []byte{7, 8}) {
		t.Errorf("record %x", got)
	}
}

// FuzzLate: whatever a log holds, an index that leaves columns for later becomes the same as one that is read at once.
func FuzzLate(f *testing.F) {
	add := func(first, rest []translog.Payload) {
		var b []byte
		for _, p := range first {
			b = translog.AppendRecord(b, translog.RecordHeader{External: true}, p)
		}
		n := len(b)
		for _, p := range rest {
			b = translog.AppendRecord(b, translog.RecordHeader{External: true}, p)
		}
		f.Add(b, uint16(n))
	}
	first := []translog.Payload{UIDValidityUpdate(5), appends(1, 2, 3), extIntro("x", 4, 2, 2), recs(2, 2, 7, 7), extIntro("modseq", 16, 8, 8)}
	for _, p := range []translog.Payload{
		translog.KeywordReset(ranges(1, 9)), translog.Expunges(ranges(1, 2)), translog.ModSeqUpdates{{UID: 1, ModSeq: 9}}, NextUIDUpdate(9),
		translog.KeywordUpdate{Name: "k", UIDs: ranges(2, 3)}, translog.FlagUpdates{{UIDs: translog.UIDRange{First: 1, Last: 2}, Add: 8}}, appends(7),
	} {
		add(first, []translog.Payload{p, extIntro("x", 4, 2, 2), recs(2, 3, 7, 7)})
	}
	store := mdboxtest.Golden(f, "dovecot-2.3/small")
	if b, err := vfs.ReadFile(vfs.OS, store.Mailbox("INBOX")+"/dovecot.index.log", 1<<20); err == nil {
		f.Add(b[translog.HeaderSize:], uint16(300))
	}
	h := translog.NewHeader()
	h.IndexID, h.FileSeq, h.InitialModSeq = 1, 2, 1
	f.Fuzz(func(t *testing.T, body []byte, split uint16) {
		l := &lateLog{m: &memFS{files: map[string][]byte{}}, h: h, body: body[:min(int(split), len(body))]}
		l.add()
		l.snapshot(t)
		o := l.options()
		o.Late = true
		x, err := Open(o)
		if err != nil {
			return // the snapshot of a damaged log
		}
		l.body = body
		l.add()
		late, err := Open(o)
		whole, wholeErr := Open(l.options())
		if (err == nil) != (wholeErr == nil) {
			t.Fatalf("late %v, at once %v", err, wholeErr)
		}
		if err != nil {
			return
		}
		if !slices.Equal(late.State().Flags(), whole.State().Flags()) || late.State().Position() != whole.State().Position() {
			t.Errorf("late: flags %x at %v, at once %x at %v", late.State().Flags(), late.State().Position(), whole.State().Flags(), whole.State().Position())
		}
		for _, z := range []*Index{late, x} {
			if _, err := z.Refresh(); err != nil && !errors.Is(err, ErrDeleted) {
				t.Fatal(err)
			}
		}
		if late.State().Deleted() {
			return
		}
		for _, z := range []*Index{late, x} {
			if a, b := z.State().AppendSnapshot(nil), whole.State().AppendSnapshot(nil); !bytes.Equal(a, b) {
				t.Errorf("read later\n%x, at once\n%x", a, b)
			}
		}
	})
}

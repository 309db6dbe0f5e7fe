package index_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// newIndex makes an index with messages 1 to 5, and returns it locked.
func newIndex(t testing.TB, w *index.Writing) (*index.Index, *index.Locked) {
	t.Helper()
	if w.Lock == nil {
		w.Lock = &filelock.Config{DotlockExcl: true}
	}
	x, l, err := index.Create(context.Background(), index.Options{Dir: t.TempDir()}, w)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Commit(true, external(index.UIDValidityUpdate(77)), external(translog.Appends{{UID: 1}, {UID: 2}, {UID: 3}, {UID: 4}, {UID: 5}})); err != nil {
		t.Fatal(err)
	}
	return x, l
}

func lock(t testing.TB, x *index.Index, w *index.Writing) *index.Locked {
	t.Helper()
	l, err := x.Lock(context.Background(), w)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func unlock(t testing.TB, l *index.Locked) {
	t.Helper()
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
}

func size(t testing.TB, path string) int64 {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Size()
}

var seen = internal(translog.FlagUpdates{{UIDs: translog.UIDRange{First: 1, Last: 2}, Add: index.FlagSeen}})

func TestLockCutsOffWhatAWriterLeft(t *testing.T) {
	partial, err := translog.AppendTransaction(nil, seen, external(translog.Appends{{UID: 6}}))
	if err != nil {
		t.Fatal(err)
	}
	for name, garbage := range map[string][]byte{
		"zeros":                    make([]byte, 40),
		"a size only":              partial[:4],
		"a boundary":               partial[:12],
		"all but the last record":  partial[:len(partial)-16],
		"a record without its end": partial[12:20],
	} {
		t.Run(name, func(t *testing.T) {
			var told string
			w := &index.Writing{Warn: func(_, what string) { told = what }}
			x, l := newIndex(t, w)
			unlock(t, l)
			path := x.Path() + ".log"
			before := size(t, path)
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(garbage); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			l = lock(t, x, w)
			if got := size(t, path); got != before || !strings.Contains(told, "unfinished") {
				t.Errorf("the log has %d bytes after Lock, had %d before; told %q", got, before, told)
			}
			if err := l.Commit(false, seen); err != nil {
				t.Error(err)
			}
			unlock(t, l)
			y, err := index.Open(index.Options{Dir: filepath.Dir(path)})
			if err != nil {
				t.Fatal(err)
			}
			if d, _ := y.Damage(); len(d) > 0 || y.State().Header().Seen() != 2 {
				t.Errorf("damage %v, %d messages seen", d, y.State().Header().Seen())
			}
		})
	}
}

func TestLockRefusesDamage(t *testing.T) {
	for name, damage := range map[string]func(log []byte) []byte{
		"marked as corrupted": func(b []byte) []byte { return append(append(slices.Clone(b[:4]), 0, 0, 0, 0), b[8:]...) },
		"an unknown record":   func(b []byte) []byte { return append(b, 0x80, 0x80, 0x80, 0x83, 0, 0, 0x40, 0, 1, 2, 3, 4) },
		"a record of 8 bytes": func(b []byte) []byte { return append(b, 0x80, 0x80, 0x80, 0x82, 2, 0, 0, 0x10) },
		"a used UID":          func(b []byte) []byte { return append(b, 0x80, 0x80, 0x80, 0x84, 2, 0, 0, 0x10, 3, 0, 0, 0, 0, 0, 0, 0) },
		"a gap":               func(b []byte) []byte { return slices.Concat(b, make([]byte, 16), b[40:]) },
		"no header":           func(b []byte) []byte { return b[:20] },
	} {
		t.Run(name, func(t *testing.T) {
			w := &index.Writing{}
			x, l := newIndex(t, w)
			unlock(t, l)
			path := x.Path() + ".log"
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b = damage(b)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = x.Lock(context.Background(), w)
			var corrupt *vfs.CorruptError
			if !errors.As(err, &corrupt) {
				t.Errorf("Lock: %v, want a *vfs.CorruptError", err)
			}
			if after, err := os.ReadFile(path); err != nil || !slices.Equal(after, b) {
				t.Errorf("Lock changed the log (%v)", err)
			}
			l, err = x.LockForRepair(context.Background(), w)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Commit(false, seen); !errors.Is(err, index.ErrFailed) || !errors.As(err, &corrupt) {
				t.Errorf("Commit: %v, want ErrFailed for the damage", err)
			}
			if err := l.Reset(90, external(index.UIDValidityUpdate(77)), external(translog.Appends{{UID: 2}})); err != nil {
				t.Fatal(err)
			}
			if err := l.Commit(false, seen); err != nil {
				t.Error(err)
			}
			unlock(t, l)
			y, err := index.Open(index.Options{Dir: filepath.Dir(path)})
			if err != nil {
				t.Fatal(err)
			}
			if d, _ := y.Damage(); len(d) > 0 || !slices.Equal(y.State().UIDs(), []uint32{2}) || y.State().HighestModSeq() != 92 {
				t.Errorf("after Reset: damage %v, UIDs %v, highest modseq %d", d, y.State().UIDs(), y.State().HighestModSeq())
			}
		})
	}
}

func TestCommitRefusesWhatDoesNotFit(t *testing.T) {
	intro := func(name string) translog.NewRecord {
		return external(translog.ExtIntros{{ExtID: translog.ExtIDByName, RecordSize: 4, RecordAlign: 4, Name: name}})
	}
	update := translog.NewExtRecUpdates(4)
	update.Add(9, []byte{1, 2, 3, 4})
	for name, records := range map[string][]translog.NewRecord{
		"a used UID":              {seen, external(translog.Appends{{UID: 5}})},
		"an unknown ext_id":       {external(translog.ExtIntros{{ExtID: 7, RecordSize: 4, RecordAlign: 4}})},
		"an introduced keywords":  {intro("keywords")},
		"data of no message":      {intro("x"), external(update)},
		"a refcount below zero":   {intro("x"), external(translog.ExtAtomicIncs{{UID: 1, Diff: -1}})},
		"no intro":                {external(translog.ExtHdrUpdates{{Data: []byte{1, 2, 3, 4}}})},
		"a counter":               {external(translog.HeaderUpdates{{Offset: 40, Data: []byte{9, 0, 0, 0}}})},
		"a tail beyond the end":   {external(translog.HeaderUpdates{{Offset: 64, Data: []byte{0, 0, 9, 0}}})},
		"first_recent_uid":        {external(index.FirstRecentUIDUpdate(99))},
		"a uid_validity of 0":     {external(index.UIDValidityUpdate(0))},
		"modseqs without a value": {external(translog.ExtIntros{{ExtID: translog.ExtIDByName, HdrSize: 16, RecordSize: 8, RecordAlign: 8, Name: "modseq"}})},
	} {
		t.Run(name, func(t *testing.T) {
			w := &index.Writing{}
			x, l := newIndex(t, w)
			before, was := content(x.State()), size(t, x.Path()+".log")
			err := l.Commit(true, records...)
			var corrupt *vfs.CorruptError
			if err == nil || errors.As(err, &corrupt) {
				t.Fatalf("Commit: %v, want an error that is not damage", err)
			}
			if got := size(t, x.Path()+".log"); got != was {
				t.Errorf("%d bytes were written", got-was)
			}
			if err := l.Commit(true, seen); !errors.Is(err, index.ErrFailed) {
				t.Errorf("the next Commit: %v, want ErrFailed", err)
			}
			unlock(t, l)
			if got := content(x.State()); got != before {
				t.Errorf("content\n%s\nwant\n%s", got, before)
			}
			l = lock(t, x, w)
			if err := l.Commit(true, seen); err != nil {
				t.Error(err)
			}
			unlock(t, l)
			if err := l.Commit(true, seen); !errors.Is(err, index.ErrUnlocked) {
				t.Errorf("Commit after Unlock: %v, want ErrUnlocked", err)
			}
		})
	}
}

func TestTailWaitsForRequests(t *testing.T) {
	w := &index.Writing{}
	x, l := newIndex(t, w)
	guid := [16]byte{1, 2}
	if err := l.Commit(false, seen, internal(translog.ExpungeGUIDs{{UID: 4}, {UID: 2, GUID: guid}, {UID: 99}}), internal(translog.Expunges{{First: 4, Last: 5}})); err != nil {
		t.Fatal(err)
	}
	want := []translog.ExpungeGUID{{UID: 2, GUID: guid}, {UID: 4}, {UID: 5}}
	if got, err := l.Requests(); err != nil || !slices.Equal(got, want) {
		t.Errorf("Requests: %v, %v, want %v", got, err, want)
	}
	if err := l.CommitTail(); !errors.Is(err, index.ErrRequests) || l.TailIsHead() {
		t.Errorf("CommitTail: %v, want ErrRequests", err)
	}
	unlock(t, l)
	l = lock(t, x, w)
	if err := l.Commit(true, external(translog.ExpungeGUIDs{{UID: 2}, {UID: 4}})); err != nil {
		t.Fatal(err)
	}
	// A snapshot may be written meanwhile, and does not lose what is left.
	w.RewriteMaxLog, w.RewriteMinLog, w.RotateMaxSize = 1, 1, 1
	if err := l.Maintain(); err != nil || l.State().Pos().FileSeq != 2 {
		t.Errorf("Maintain: %v, log %v", err, l.State().Pos())
	}
	y, err := index.Open(index.Options{Dir: filepath.Dir(x.Path())})
	if err != nil {
		t.Fatal(err)
	}
	unlock(t, l)
	l = lock(t, y, w)
	if got, err := l.Requests(); err != nil || len(got) != 1 || got[0].UID != 5 {
		t.Errorf("Requests: %v, %v, want that of UID 5", got, err)
	}
	if err := l.Commit(true, external(translog.ExpungeGUIDs{{UID: 5}})); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.CommitTail(), l.CommitTail()); err != nil || !l.TailIsHead() {
		t.Errorf("CommitTail: %v", err)
	}
	if err := l.Maintain(); err != nil || l.State().Pos().FileSeq != 3 {
		t.Errorf("Maintain: %v, log %v, want it rotated", err, l.State().Pos())
	}
	unlock(t, l)
}

// Several processes make the same index: one has made it, the others find it made.
func TestCreateTogether(t *testing.T) {
	o := index.Options{Dir: t.TempDir()}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			w := &index.Writing{Lock: &filelock.Config{DotlockExcl: true}}
			x, l, err := index.Create(context.Background(), o, w)
			if err != nil {
				t.Error(err)
				return
			}
			if l.State().UIDValidity() == 0 {
				if err := l.Commit(true, external(index.UIDValidityUpdate(5)), external(translog.Appends{{UID: 1}})); err != nil {
					t.Error(err)
				}
			}
			if err := l.Unlock(); err != nil {
				t.Error(err)
			}
			if n := x.State().Len(); n != 1 {
				t.Errorf("%d messages", n)
			}
		})
	}
	all.Wait()
}

func TestLockOfWhatIsGone(t *testing.T) {
	w := &index.Writing{}
	x, l := newIndex(t, w)
	if err := l.Commit(true, external(translog.IndexDeleted{})); err != nil {
		t.Fatal(err)
	}
	if err := l.Commit(false, seen); !errors.Is(err, index.ErrDeleted) {
		t.Errorf("Commit to a deleted index: %v, want ErrDeleted", err)
	}
	unlock(t, l)
	if _, err := x.Lock(context.Background(), w); !errors.Is(err, index.ErrDeleted) {
		t.Errorf("Lock of a deleted index: %v, want ErrDeleted", err)
	}
	l, err := x.LockForRepair(context.Background(), w)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Commit(true, external(translog.IndexUndeleted{})), l.Commit(false, seen)); err != nil {
		t.Errorf("Commit after index-undeleted: %v", err)
	}
	unlock(t, l)
	if err := os.RemoveAll(filepath.Dir(x.Path())); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Lock(context.Background(), w); !errors.Is(err, index.ErrDeleted) {
		t.Errorf("Lock of a removed index: %v, want ErrDeleted", err)
	}
}

func TestOldLogIsRemoved(t *testing.T) {
	now := time.Now()
	w := &index.Writing{RotateMaxSize: 1, Now: func() time.Time { return now }}
	x, l := newIndex(t, w)
	if err := errors.Join(l.CommitTail(), l.Maintain()); err != nil {
		t.Fatal(err)
	}
	w.RotateMaxSize = 0
	old := x.Path() + ".log.2"
	rotated := uint32(now.Unix())
	if got := l.State().Header().Log2RotateTime(); got != rotated || size(t, old) == 0 {
		t.Errorf("log2_rotate_time %d after a rotation at %d", got, rotated)
	}
	now = now.Add(index.DefaultLog2MaxAge - time.Minute)
	if err := l.Maintain(); err != nil || size(t, old) == 0 {
		t.Error(err)
	}
	now = now.Add(2 * time.Minute)
	if err := l.Maintain(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) || l.State().Header().Log2RotateTime() != 1<<32-1 {
		t.Errorf("after Log2MaxAge: %v, log2_rotate_time %d", err, l.State().Header().Log2RotateTime())
	}
	unlock(t, l)
}

// A dotlock that somebody has left keeps a log from being rotated for a while, not from
// being written.
func TestRotationAfterACrash(t *testing.T) {
	now := time.Now()
	w := &index.Writing{RotateMaxSize: 1, Now: func() time.Time { return now }}
	x, l := newIndex(t, w)
	if err := os.WriteFile(x.Path()+".log.newlock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.CommitTail(), l.Maintain()); err != nil || l.State().Pos().FileSeq != 2 {
		t.Errorf("%v, log %v, want it not rotated", err, l.State().Pos())
	}
	now = now.Add(10 * time.Minute)
	if err := l.Maintain(); err != nil || l.State().Pos().FileSeq != 3 {
		t.Errorf("%v, log %v, want it rotated", err, l.State().Pos())
	}
	unlock(t, l)
}

// The header fields of an append are those that Dovecot writes.
func TestDayUpdate(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 3, 1+n, 15, 4, 5, 0, time.UTC) }
	w := &index.Writing{}
	_, l := newIndex(t, w)
	uid := uint32(6)
	appendOn := func(n int) {
		rs := []translog.NewRecord{external(translog.Appends{{UID: uid}})}
		if u, ok := l.State().DayUpdate(day(n), uid); ok {
			rs = append(rs, external(u))
		}
		if err := l.Commit(false, rs...); err != nil {
			t.Fatal(err)
		}
		uid++
	}
	for _, c := range []struct {
		day  int
		want []uint32
	}{
		{0, []uint32{6, 0, 0, 0, 0, 0, 0, 0}},
		{0, []uint32{6, 0, 0, 0, 0, 0, 0, 0}},
		{1, []uint32{8, 6, 0, 0, 0, 0, 0, 0}},
		{4, []uint32{9, 8, 8, 8, 6, 0, 0, 0}},
		{3, []uint32{9, 8, 8, 8, 6, 0, 0, 0}},
		{11, []uint32{11, 9, 9, 9, 9, 9, 9, 9}},
		{40, []uint32{12, 11, 11, 11, 11, 11, 11, 11}},
	} {
		appendOn(c.day)
		var got []uint32
		for i := range 8 {
			got = append(got, l.State().Header().DayFirstUID(i))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("day %d: %v, want %v", c.day, got, c.want)
		}
	}
	unlock(t, l)
}

// Dovecot takes the sum of sizes that was kept up to date as it is.
func TestVSizeIsKept(t *testing.T) {
	store := mdboxtest.MakeStore(t, "--content", "tiny")
	vsize := func() string {
		return strings.TrimSpace(store.Doveadm(t, "-f", "tab", "mailbox", "status", "vsize", "INBOX"))
	}
	vsize() // makes Dovecot compute it
	s := newSession(t, store, "INBOX", 1, nil)
	if err := s.both(func(box *index.Locked) (map[uint32]int32, []translog.NewRecord) {
		st := box.State()
		h, ok := st.VSize()
		if !ok || h.MessageCount != uint32(st.Len()) {
			t.Errorf("VSize: %+v, %v, %d messages", h, ok, st.Len())
		}
		i := st.Len() - 1
		last, ok := index.DecodeVSize(st.Ext(index.ExtVSize).Record(i))
		if !ok {
			t.Error("the last message has no size")
		}
		size := index.SizedMessage{UID: st.UIDs()[i], Size: uint64(last)}
		refs, es := expunged(st, []uint32{size.UID})
		after, ok := st.VSizeAfter([]index.SizedMessage{size}, nil)
		if !ok || after.VSize != h.VSize-uint64(last) || after.MessageCount != h.MessageCount-1 {
			t.Errorf("VSizeAfter: %+v, %v, before %+v", after, ok, h)
		}
		after.VSize += 1000000 // to see that Dovecot does not compute it again
		return refs, append(box.VSizeUpdate(after), external(es))
	}); err != nil {
		t.Fatal(err)
	}
	h, ok := s.box.State().VSize()
	if !ok || !strings.HasSuffix(vsize(), strconv.FormatUint(h.VSize, 10)) {
		t.Errorf("Dovecot says %q, the index %+v, %v", vsize(), h, ok)
	}
	if got, ok := s.box.State().VSizeAfter([]index.SizedMessage{{UID: 1, Size: 1 << 40}}, nil); !ok || got != (index.VSizeHeader{}) {
		t.Errorf("below zero: %+v, %v, want it unknown", got, ok)
	}
	got, ok := s.box.State().VSizeAfter(nil, []index.SizedMessage{{UID: 90, Size: 10}, {UID: 91, Size: 5}})
	if want := (index.VSizeHeader{VSize: h.VSize + 15, HighestUID: 91, MessageCount: h.MessageCount + 2}); !ok || got != want {
		t.Errorf("appended: %+v, %v, want %+v", got, ok, want)
	}
	noErrors(t, store)
}

// Writers of one mailbox, each with an Index of its own, lose nothing, whatever the lock is.
func TestWritersTogether(t *testing.T) {
	for _, method := range []filelock.Method{filelock.MethodFcntl, filelock.MethodFlock, filelock.MethodDotlock} {
		t.Run(string(method), func(t *testing.T) {
			const writers, appends = 4, 60
			w := &index.Writing{Lock: &filelock.Config{Method: method, DotlockExcl: true}, RotateMaxSize: 600, RewriteMinLog: 1, RewriteMaxLog: 200, Fsync: index.FsyncNever}
			x, l := newIndex(t, w)
			unlock(t, l)
			o := index.Options{Dir: filepath.Dir(x.Path())}
			var all sync.WaitGroup
			for range writers {
				all.Go(func() {
					y, err := index.Open(o)
					if err != nil {
						t.Error(err)
						return
					}
					for range appends {
						l, err := y.Lock(context.Background(), w)
						if err != nil {
							t.Error(err)
							return
						}
						uid := l.State().NextUID()
						err = l.Commit(false, external(translog.Appends{{UID: uid}}), internal(translog.FlagUpdates{{UIDs: translog.UIDRange{First: uid, Last: uid}, Add: index.FlagSeen}}))
						if err := errors.Join(err, l.CommitTail(), l.Maintain(), l.Unlock()); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			if _, err := x.Refresh(); err != nil {
				t.Fatal(err)
			}
			s := x.State()
			if d, _ := x.Damage(); len(d) > 0 || s.Check() != nil || s.Len() != 5+writers*appends || s.NextUID() != uint32(6+writers*appends) || s.Header().Seen() != writers*appends {
				t.Errorf("damage %v, %v, %d messages, next_uid %d, %d seen", d, s.Check(), s.Len(), s.NextUID(), s.Header().Seen())
			}
			if s.Pos().FileSeq < 10 {
				t.Errorf("log %v, want it rotated often", s.Pos())
			}
		})
	}
}

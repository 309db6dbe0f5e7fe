package index_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// faultFS lets the operation number fail go wrong, of those that change something.
type faultFS struct {
	vfs.FS
	fail  int
	short bool // a write does half of its work before it fails
	stays bool // everything after it fails too: the process is dead
	ops   int
	what  string // what has failed
}

var errFault = fmt.Errorf("injected: %w", syscall.ENOSPC)

// op counts an operation, and returns the error that it is to fail with.
func (f *faultFS) op(what, name string) error {
	f.ops++
	if f.ops == f.fail {
		f.what = what + " " + name[strings.LastIndex(name, "/")+1:]
	}
	if f.ops == f.fail || f.stays && f.ops > f.fail {
		return &fs.PathError{Op: what, Path: name, Err: errFault}
	}
	return nil
}

func (f *faultFS) OpenWrite(name string, how vfs.How, perm fs.FileMode) (vfs.WritableFile, error) {
	if how&vfs.Create != 0 {
		if err := f.op("create", name); err != nil {
			return nil, err
		}
	}
	w, err := f.FS.OpenWrite(name, how, perm)
	return faultFile{w, f}, err
}

func (f *faultFS) Rename(from, to string) error {
	return errors.Join(f.op("rename", to), f.unless(func() error { return f.FS.Rename(from, to) }))
}

func (f *faultFS) Link(from, to string) error {
	return errors.Join(f.op("link", to), f.unless(func() error { return f.FS.Link(from, to) }))
}

func (f *faultFS) Remove(name string) error {
	return errors.Join(f.op("remove", name), f.unless(func() error { return f.FS.Remove(name) }))
}

func (f *faultFS) SyncDir(name string) error { return f.op("syncdir", name) }

// unless calls do unless the operation that was just counted fails.
func (f *faultFS) unless(do func() error) error {
	if f.ops == f.fail || f.stays && f.ops > f.fail {
		return nil
	}
	return do()
}

type faultFile struct {
	vfs.WritableFile
	fs *faultFS
}

func (f faultFile) Write(p []byte) (int, error) {
	if err := f.fs.op("write", f.Name()); err != nil {
		n := 0
		if f.fs.short && f.fs.ops == f.fs.fail {
			n, _ = f.WritableFile.Write(p[:len(p)/2])
		}
		return n, err
	}
	return f.WritableFile.Write(p)
}

func (f faultFile) Truncate(size int64) error {
	if err := f.fs.op("truncate", f.Name()); err != nil {
		return err
	}
	return f.WritableFile.Truncate(size)
}

func (f faultFile) Sync() error {
	if err := f.fs.op("sync", f.Name()); err != nil {
		return err
	}
	return f.WritableFile.Sync()
}

// content describes what clients see of an index.
func content(s *index.State) string {
	var b strings.Builder
	fmt.Fprintf(&b, "uid_validity %d next_uid %d first_recent_uid %d deleted %v keywords %q", s.UIDValidity(), s.NextUID(), s.FirstRecentUID(), s.Deleted(), s.Keywords())
	for i, uid := range s.UIDs() {
		fmt.Fprintf(&b, "\n%d flags %x keywords %x modseq %d", uid, s.Flags()[i], s.AppendKeywords(nil, i, s.KeywordWords()), s.ModSeq(i))
	}
	for _, e := range s.Exts() {
		if e.Name != "modseq" {
			fmt.Fprintf(&b, "\n%s %d %x %x", e.Name, e.ResetID, e.Header(), e.Column())
		}
	}
	return b.String()
}

// scenario is one history of an index: each step changes it, and is acknowledged or not.
type scenario struct {
	o    index.Options
	w    *index.Writing
	x    *index.Index
	seen []string // the content after each step
}

func newScenario(dir string, fsys vfs.FS, fsync index.Fsync) *scenario {
	now := time.Unix(1700000000, 0)
	return &scenario{
		o: index.Options{FS: fsys, Dir: dir},
		w: &index.Writing{Lock: &filelock.Config{FS: fsys, DotlockExcl: true}, Fsync: fsync, Backup: true, Now: func() time.Time { return now },
			RotateMaxSize: 500, RewriteMinLog: 1, RewriteMaxLog: 100},
	}
}

func (s *scenario) step(f func(l *index.Locked) error) func() error {
	return func() error {
		l, err := s.x.Lock(context.Background(), s.w)
		if err != nil {
			return err
		}
		return errors.Join(f(l), l.Unlock())
	}
}

func u32(v uint32) []byte { return []byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)} }

func (s *scenario) steps() []func() error {
	create := func() error {
		x, l, err := index.Create(context.Background(), s.o, s.w)
		if err != nil {
			return err
		}
		s.x = x
		return errors.Join(l.Commit(true, external(index.UIDValidityUpdate(77)), external(index.Log2RotateTimeUpdate(1<<32-1))), l.Unlock())
	}
	appends := s.step(func(l *index.Locked) error {
		uid := l.State().NextUID()
		recs := translog.NewExtRecUpdates(4)
		var as translog.Appends
		for i := range uint32(5) {
			as = append(as, translog.AppendedMessage{UID: uid + i, Flags: index.FlagSeen * uint8(i%2)})
			recs.Add(uid+i, u32(100+uid+i))
		}
		rs := []translog.NewRecord{external(as), external(translog.ExtIntros{l.Intro("x", 0, 4, 4)}), external(recs)}
		if day, ok := l.State().DayUpdate(s.w.Now(), uid); ok {
			rs = append(rs, external(day))
		}
		return errors.Join(l.Commit(true, rs...), l.CommitTail())
	})
	flags := s.step(func(l *index.Locked) error {
		return l.Commit(true, internal(translog.FlagUpdates{{UIDs: translog.UIDRange{First: 2, Last: 1 << 30}, Add: index.FlagFlagged}}),
			internal(translog.KeywordUpdate{Name: fmt.Sprintf("k%d", l.State().NextUID()), UIDs: []translog.UIDRange{{First: 3, Last: 9}}}))
	})
	modSeqs := s.step(func(l *index.Locked) error { return l.Commit(true, l.EnableModSeqs()...) })
	expunge := s.step(func(l *index.Locked) error {
		uid := l.State().UIDs()[0]
		return l.Commit(true, internal(translog.ExpungeGUIDs{{UID: uid}}), external(translog.ExpungeGUIDs{{UID: uid}, {UID: uid + 2}}))
	})
	maintain := s.step(func(l *index.Locked) error { return errors.Join(l.CommitTail(), l.Maintain()) })
	reset := s.step(func(l *index.Locked) error {
		return l.Reset(0, external(index.UIDValidityUpdate(78)), external(translog.Appends{{UID: 40}, {UID: 41, Flags: index.FlagDraft}}))
	})
	var all []func() error
	all = append(all, create, appends, maintain, flags, modSeqs, maintain, expunge, appends, maintain, flags, appends, expunge, maintain)
	all = append(all, appends, maintain, flags, reset, maintain, appends, maintain)
	return all
}

// run does the steps up to the first error.
func (s *scenario) run(t *testing.T) error {
	for i, step := range s.steps() {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		if err := s.x.State().Check(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		s.seen = append(s.seen, content(s.x.State()))
	}
	return nil
}

// Whatever operation fails, the step with it is done or not done, the index is
// sound for every other process, and can be written again.
func TestFailedOperations(t *testing.T) {
	for _, mode := range []struct {
		name         string
		fsync        index.Fsync
		short, stays bool
	}{
		{"error", index.FsyncAlways, false, false},
		{"short write", index.FsyncOptimized, true, false},
		{"crash", index.FsyncAlways, false, true},
		{"crash in a write", index.FsyncOptimized, true, true},
		{"crash without syncs", index.FsyncNever, true, true},
	} {
		t.Run(mode.name, func(t *testing.T) {
			sound := newScenario(t.TempDir(), vfs.OS, mode.fsync)
			if err := sound.run(t); err != nil {
				t.Fatal(err)
			}
			if seq := sound.x.State().Pos().FileSeq; seq < 5 {
				t.Errorf("the log was rotated to number %d only", seq)
			}
			n := 1
			for ; ; n++ {
				f := &faultFS{FS: vfs.OS, fail: n, short: mode.short, stays: mode.stays}
				s := newScenario(t.TempDir(), f, mode.fsync)
				err := s.run(t)
				if f.ops < n {
					break
				}
				checkAfterFault(t, s, f, err, sound.seen)
				if t.Failed() {
					t.Fatalf("operation %d (%s) failed: %v", n, f.what, err)
				}
			}
			t.Logf("%d operations", n-1)
		})
	}
}

// checkAfterFault opens the index as another process, and writes it.
func checkAfterFault(t *testing.T, s *scenario, f *faultFS, err error, sound []string) {
	t.Helper()
	if err != nil && !errors.Is(err, errFault) {
		t.Errorf("an error that does not tell its cause")
	}
	done := len(s.seen)
	o := index.Options{Dir: s.o.Dir}
	w := newScenario(s.o.Dir, vfs.OS, index.FsyncNever).w
	if done == 0 { // not even created: the next one does
		if err := os.Remove(o.Dir + "/dovecot.index.log.newlock"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		_, l, err := index.Create(context.Background(), o, w)
		if err != nil {
			t.Errorf("create again: %v", err)
			return
		}
		if err := l.Unlock(); err != nil {
			t.Error(err)
		}
		return
	}
	x, err := index.Open(o)
	if err != nil {
		t.Errorf("open: %v", err)
		return
	}
	wantSound := func(when string) {
		if d, _ := x.Damage(); len(d) > 0 {
			t.Errorf("%s: %v", when, d[0])
		}
		if err := x.State().Check(); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		if got := content(x.State()); got != sound[done-1] && got != sound[min(done, len(sound)-1)] {
			t.Errorf("%s: content\n%s\nwant that of before the step\n%s\nor after\n%s", when, got, sound[done-1], sound[min(done, len(sound)-1)])
		}
	}
	wantSound("opened")
	l, err := x.Lock(context.Background(), w)
	if err != nil {
		t.Errorf("lock: %v", err)
		return
	}
	wantSound("locked")
	if err := errors.Join(l.CommitTail(), l.Maintain(), l.Commit(true, external(index.FirstRecentUIDUpdate(l.State().NextUID()))), l.Unlock()); err != nil {
		t.Errorf("write: %v", err)
	}
	y, err := index.Open(o)
	if err != nil {
		t.Errorf("open again: %v", err)
		return
	}
	if d, _ := y.Damage(); len(d) > 0 || content(x.State()) != content(y.State()) {
		t.Errorf("opened again: %v\n%s\nwant\n%s", d, content(y.State()), content(x.State()))
	}
}

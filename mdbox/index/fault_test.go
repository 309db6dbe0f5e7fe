package index_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
	"github.com/roostmail/roost/mdbox/vfs/crashfs"
)

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
	o       index.Options
	w       *index.Writing
	x       *index.Index
	seen    []string // the content after each step that was acknowledged
	durable int      // how many of them are not to be lost, whatever happens
}

const scenarioDir = "/mailbox"

// repairs counts the indexes that had to be repaired after a crash.
var repairs atomic.Int32

var modSeqs = regexp.MustCompile(` modseq \d+`)

func withoutModSeqs(content string) string { return modSeqs.ReplaceAllString(content, "") }

func newScenario(fsys vfs.FS, fsync index.Fsync) *scenario {
	now := time.Unix(1700000000, 0)
	return &scenario{
		o: index.Options{FS: fsys, Dir: scenarioDir},
		w: &index.Writing{Lock: &filelock.Config{FS: fsys, DotlockExcl: true}, Fsync: fsync, Backup: true, Now: func() time.Time { return now },
			RotateMaxSize: 700, RewriteMinLog: 1, RewriteMaxLog: 100},
	}
}

// step is a part of the history.
type step struct {
	durable bool
	do      func() error
}

func (s *scenario) locked(durable bool, f func(l *index.Locked) error) step {
	return step{durable, func() error {
		l, err := s.x.Lock(context.Background(), s.w)
		if err != nil {
			return err
		}
		return errors.Join(f(l), l.Unlock())
	}}
}

func u32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

func (s *scenario) steps() []step {
	create := step{true, func() error {
		x, l, err := index.Create(context.Background(), s.o, s.w)
		if err != nil {
			return err
		}
		s.x = x
		return errors.Join(l.Commit(true, external(index.UIDValidityUpdate(77)), external(index.Log2RotateTimeUpdate(1<<32-1))), l.Unlock())
	}}
	appends := s.locked(true, func(l *index.Locked) error {
		uid := l.State().NextUID()
		recs := translog.NewExtRecUpdates(24)
		var as translog.Appends
		for i := range uint32(5) {
			as = append(as, translog.AppendedMessage{UID: uid + i, Flags: index.FlagSeen * uint8(i%2)})
			recs.Add(uid+i, u32(100+uid+i))
		}
		rs := []translog.NewRecord{external(as), external(translog.ExtIntros{l.Intro("x", 0, 24, 4)}), external(recs)}
		if day, ok := l.State().DayUpdate(s.w.Now(), uid); ok {
			rs = append(rs, external(day))
		}
		return errors.Join(l.Commit(true, rs...), l.CommitTail())
	})
	flags := s.locked(false, func(l *index.Locked) error {
		return l.Commit(false, internal(translog.FlagUpdates{{UIDs: translog.UIDRange{First: 2, Last: 1 << 30}, Add: index.FlagFlagged}}),
			internal(translog.KeywordUpdate{Name: fmt.Sprintf("k%d", l.State().NextUID()), UIDs: []translog.UIDRange{{First: 3, Last: 9}}}))
	})
	modSeqs := s.locked(false, func(l *index.Locked) error { return l.Commit(false, l.EnableModSeqs()...) })
	expunge := s.locked(true, func(l *index.Locked) error {
		uid := l.State().UIDs()[0]
		return l.Commit(true, internal(translog.ExpungeGUIDs{{UID: uid}}), external(translog.ExpungeGUIDs{{UID: uid}, {UID: uid + 2}}))
	})
	maintain := s.locked(false, func(l *index.Locked) error { return errors.Join(l.CommitTail(), l.Maintain()) })
	reset := s.locked(true, func(l *index.Locked) error {
		return l.Reset(0, external(index.UIDValidityUpdate(78)), external(translog.Appends{{UID: 40}, {UID: 41, Flags: index.FlagDraft}}))
	})
	return []step{create, appends, maintain, flags, modSeqs, maintain, expunge, appends, maintain, flags, appends, expunge, maintain,
		appends, maintain, flags, reset, flags, maintain, appends, maintain}
}

// run does the steps up to the first error.
func (s *scenario) run(t *testing.T) error {
	for i, step := range s.steps() {
		if err := step.do(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		if err := s.x.State().Check(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		s.seen = append(s.seen, content(s.x.State()))
		if step.durable && s.w.Fsync == index.FsyncOptimized || s.w.Fsync == index.FsyncAlways {
			s.durable = len(s.seen)
		}
	}
	return nil
}

// Whatever operation fails, and whatever a crash then takes away: what was acknowledged
// is there, as far as the fsync mode promises it, the index is sound for every other process,
// and it can be written again.
func TestFaultsAndCrashes(t *testing.T) {
	for _, fsync := range []index.Fsync{index.FsyncOptimized, index.FsyncAlways, index.FsyncNever} {
		sound := newScenario(newDir(), fsync)
		if err := sound.run(t); err != nil {
			t.Fatal(err)
		}
		if seq := sound.x.State().Pos().FileSeq; seq < 5 {
			t.Errorf("the log was rotated to number %d only", seq)
		}
		for _, what := range []crashfs.What{crashfs.IOError, crashfs.Short, crashfs.Full, crashfs.PowerCut} {
			t.Run(fmt.Sprintf("fsync mode %d, %v", fsync, what), func(t *testing.T) {
				n := 1
				for ; ; n++ {
					fsys := newDir()
					fault := crashfs.Fault{N: n, What: what}
					fsys.Inject(fault)
					s := newScenario(fsys, fsync)
					err := s.run(t)
					if !fsys.Hit() {
						break
					}
					if err := fsys.Check(); err != nil {
						t.Errorf("%v: %v", fault, err)
					}
					for i, loss := range append(crashfs.Losses, slices.Repeat([]crashfs.Loss{crashfs.LoseSome}, 5)...) {
						if loss != crashfs.LoseNothing && fsync == index.FsyncNever {
							continue // nothing is promised
						}
						after := fsys.After(loss, uint64(1000*i+n))
						checkAfterFault(t, s, after, loss, sound.seen)
						if t.Failed() {
							trace := strings.Split(fsys.TraceString(crashfs.Writes|crashfs.Unlock), "\n")
							t.Fatalf("%v (%v), then %v; %d steps acknowledged, %d durable\n%s", fault, err, loss, len(s.seen), s.durable,
								strings.Join(trace[max(0, len(trace)-30):], "\n"))
						}
					}
				}
				t.Logf("%d operations, %d repairs so far", n-1, repairs.Load())
			})
		}
	}
}

func newDir() *crashfs.FS {
	fsys := crashfs.New()
	if err := fsys.Mkdir(scenarioDir, 0o700); err != nil {
		panic(err)
	}
	if err := fsys.SyncDir("/"); err != nil {
		panic(err)
	}
	return fsys
}

// checkAfterFault opens the index as another process, and writes it. sound has the
// content after each step.
func checkAfterFault(t *testing.T, s *scenario, fsys *crashfs.FS, loss crashfs.Loss, sound []string) {
	t.Helper()
	least := len(s.seen)
	if loss != crashfs.LoseNothing {
		least = s.durable
	}
	most := min(len(s.seen)+1, len(sound))
	again := newScenario(fsys, s.w.Fsync)
	x, err := index.Open(again.o)
	if least == 0 {
		checkCreate(t, again, x, err)
		return
	}
	if err != nil {
		t.Errorf("open: %v", err)
		return
	}
	wantSound := func(when string) {
		t.Helper()
		if d, _ := x.Damage(); len(d) > 0 && loss != crashfs.LoseSome {
			t.Errorf("%s: %v", when, d[0])
		}
		if err := x.State().Check(); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		if got := content(x.State()); !slices.Contains(sound[least-1:most], got) {
			t.Errorf("%s: content\n%s\nis not one of the steps %d to %d, the first\n%s", when, got, least, most, sound[least-1])
		}
	}
	wantSound("opened")
	l, err := x.Lock(context.Background(), again.w)
	var corrupt *vfs.CorruptError
	if loss == crashfs.LoseSome && errors.As(err, &corrupt) {
		// Zeros in the place of a transaction that was not synced, and another one behind: the
		// format has no way to tell that from damage.
		repairs.Add(1)
		if l, err = x.LockForRepair(context.Background(), again.w); err == nil {
			before := withoutModSeqs(content(x.State()))
			err = l.Reset(0, x.State().Records(nil)...)
			if after := withoutModSeqs(content(x.State())); before != after {
				t.Errorf("repaired:\n%s\nwas\n%s", after, before)
			}
		}
	} else if err == nil {
		wantSound("locked")
	}
	if err != nil {
		t.Errorf("lock: %v", err)
		return
	}
	if err := errors.Join(l.CommitTail(), l.Maintain(), l.Commit(true, external(index.FirstRecentUIDUpdate(l.State().NextUID()))), l.Unlock()); err != nil {
		t.Errorf("write: %v", err)
	}
	y, err := index.Open(again.o)
	if err != nil {
		t.Errorf("open again: %v", err)
		return
	}
	if d, _ := y.Damage(); len(d) > 0 || content(x.State()) != content(y.State()) {
		t.Errorf("opened again: %v\n%s\nwant\n%s", d, content(y.State()), content(x.State()))
	}
}

// checkCreate makes an index where one may have been made.
func checkCreate(t *testing.T, s *scenario, x *index.Index, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open: %v", err)
	}
	if err := s.o.FS.Remove(scenarioDir + "/dovecot.index.log.newlock"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := s.run(t); x == nil && err != nil {
		t.Errorf("create again: %v", err)
	}
}

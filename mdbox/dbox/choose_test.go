package dbox

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/roostmail/roost/mdbox/vfs"
)

func TestChooseFile(t *testing.T) {
	mail := stored{body: "a message\n"}.bytes()
	head := FileHeader{Version: 2, HeaderSize: messageHeaderSize, Created: 1_000_000}.Append(nil)
	good := append(head[:len(head):len(head)], mail...)
	size := uint64(len(good))
	cases := []struct {
		name   string
		files  map[FileID][]byte // as they are on disk
		order  []Candidate
		change func(c *Config)
		want   FileID // 100 = a new one
		report bool
	}{
		{name: "the newest", files: map[FileID][]byte{1: good, 2: good}, order: []Candidate{{2, size}, {1, size}}, want: 2},
		{name: "none", want: 100},
		{name: "not there any more", files: map[FileID][]byte{1: good}, order: []Candidate{{2, size}, {1, size}}, want: 1},
		{name: "end not known", files: map[FileID][]byte{1: good, 2: good}, order: []Candidate{{2, 0}, {1, size}}, want: 1},
		{name: "full as the map says", files: map[FileID][]byte{1: good}, order: []Candidate{{1, 4090}}, want: 100,
			change: func(c *Config) { c.RotateSize = 4096 }},
		{name: "full as the file says", files: map[FileID][]byte{1: append(good[:size:size], stored{body: strings.Repeat("x", 4000)}.bytes()...)},
			order: []Candidate{{1, size}}, want: 100, change: func(c *Config) { c.RotateSize = 4096 }},
		{name: "message larger than a file", files: map[FileID][]byte{1: good}, order: []Candidate{{1, size}}, want: 100,
			change: func(c *Config) { c.RotateSize = 20 }},
		{name: "others have appended", files: map[FileID][]byte{1: append(append(good[:size:size], mail...), mail...)},
			order: []Candidate{{1, size}}, want: 1},
		{name: "zeros behind the end", files: map[FileID][]byte{1: append(good[:size:size], make([]byte, 30)...), 2: good},
			order: []Candidate{{1, size}, {2, size}}, want: 2, report: true},
		{name: "a part of a message behind the end", files: map[FileID][]byte{1: append(good[:size:size], mail[:len(mail)-1]...)},
			order: []Candidate{{1, size}}, want: 100, report: true},
		{name: "shorter than the map says", files: map[FileID][]byte{1: good[:size-1]}, order: []Candidate{{1, size}}, want: 100, report: true},
		{name: "not a mail file", files: map[FileID][]byte{1: []byte("nothing\n")}, order: []Candidate{{1, 8}}, want: 100, report: true},
		{name: "version 1", files: map[FileID][]byte{1: append([]byte("1"), good[1:]...)}, order: []Candidate{{1, size}}, want: 100},
		{name: "other header size", files: map[FileID][]byte{1: bytes.Replace(good, []byte("M1e"), []byte("M1f"), 1)},
			order: []Candidate{{1, size}}, want: 100},
		{name: "too old", files: map[FileID][]byte{1: good, 2: good}, order: []Candidate{{1, size}, {2, size}}, want: 100,
			change: func(c *Config) {
				c.RotateInterval = time.Second
				c.Now = func() time.Time { return time.Unix(1_000_001, 0) }
			}},
		{name: "young enough", files: map[FileID][]byte{1: good}, order: []Candidate{{1, size}}, want: 1, change: func(c *Config) {
			c.RotateInterval = 2 * time.Second
			c.Now = func() time.Time { return time.Unix(1_000_001, 0) }
		}},
		{name: "the tenth", files: map[FileID][]byte{1: good}, order: append(make([]Candidate, 9), Candidate{1, size}), want: 1},
		{name: "the eleventh", files: map[FileID][]byte{1: good}, order: append(make([]Candidate, 10), Candidate{1, size}), want: 100},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var reports []error
			s := newFiles(t, func(conf *Config) {
				conf.Report = func(err error) { reports = append(reports, err) }
				if c.change != nil {
					c.change(conf)
				}
			})
			for id, b := range c.files {
				if err := os.WriteFile(s.Path(id), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			ref := save(t, s.NewAppender(candidatesOf(c.order...)), 100, "new\r\n")[0]
			if ref.File != c.want {
				t.Errorf("saved to %d, want %d", ref.File, c.want)
			}
			if c.report != (len(reports) > 0) {
				t.Errorf("reports: %v", reports)
			}
			if got, err := read(s, ref, 0, 0); err != nil || got != "new\r\n" {
				t.Errorf("read back %q, %v", got, err)
			}
			for id, b := range c.files {
				after, err := os.ReadFile(s.Path(id))
				if err != nil || !bytes.HasPrefix(after, b) || id != c.want && len(after) != len(b) {
					t.Errorf("m.%d was changed: %v", id, err)
				}
			}
		})
	}
}

func TestDamagedFileIsReportedOnce(t *testing.T) {
	reports := 0
	s := newFiles(t, func(c *Config) { c.Report = func(error) { reports++ } })
	ref := writeMails(t, s.Path(1), 1, stored{body: "one\n"})[0]
	if err := os.Truncate(s.Path(1), 1000); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		save(t, s.NewAppender(candidatesOf(end(ref))), FileID(2+i), "x")
	}
	if reports != 1 {
		t.Errorf("%d reports", reports)
	}
}

func TestNoAltStorage(t *testing.T) {
	s := newFiles(t, func(c *Config) { c.AltDir = "" })
	a := s.NewAltAppender(candidatesOf())
	if _, err := a.Save(NewMessage{}, strings.NewReader("x")); err == nil {
		t.Error("saved to an ALT storage that is not there")
	}
	if err := a.Abort(); err != nil {
		t.Error(err)
	}
}

func TestBusyFileIsNotWaitedFor(t *testing.T) {
	s := newFiles(t, nil)
	one := writeMails(t, s.Path(1), 1, stored{body: "one\n"})[0]
	two := writeMails(t, s.Path(2), 2, stored{body: "two\n"})[0]
	lock, err := s.Lock(2)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	if got := save(t, s.NewAppender(candidatesOf(end(two), end(one))), 3, "x")[0]; got.File != 1 {
		t.Errorf("saved to %v", got)
	}
}

func TestFileUnlinkedBeforeTheLockIsNotUsed(t *testing.T) {
	s := newFiles(t, func(c *Config) {
		c.FS = &lockHook{FS: vfs.OS, before: func(name string) {
			if err := os.Remove(name); err != nil {
				t.Error(err)
			}
		}}
	})
	ref := writeMails(t, s.Path(1), 1, stored{body: "one\n"})[0]
	if got := save(t, s.NewAppender(candidatesOf(end(ref))), 2, "x")[0]; got.File != 2 {
		t.Errorf("saved to %v", got)
	}
}

// lockHook calls before ahead of every lock.
type lockHook struct {
	vfs.FS
	before func(name string)
}

func (h *lockHook) OpenWrite(name string, how vfs.How, perm os.FileMode) (vfs.WritableFile, error) {
	f, err := h.FS.OpenWrite(name, how, perm)
	return &lockHookFile{f, h}, err
}

type lockHookFile struct {
	vfs.WritableFile
	hook *lockHook
}

func (f *lockHookFile) TryLock(kind vfs.LockKind) (bool, error) {
	if filepath.Base(f.Name())[0] != '.' { // a mail file
		f.hook.before(f.Name())
	}
	return f.WritableFile.TryLock(kind)
}

func TestAppendersKeepToTheirStorage(t *testing.T) {
	s := newFiles(t, nil)
	primary := writeMails(t, s.Path(1), 1, stored{body: "one\n"})[0]
	alt := writeMails(t, s.altPath(2), 2, stored{body: "two\n"})[0]
	writeMails(t, s.altPath(1), 1, stored{body: "one\n"}) // hidden by the other
	both := candidatesOf(end(alt), end(primary))
	if got := save(t, s.NewAppender(both), 3, "x")[0]; got.File != 1 {
		t.Errorf("saved to %v", got)
	}
	if got := save(t, s.NewAltAppender(both), 3, "x")[0]; got.File != 2 {
		t.Errorf("saved to %v", got)
	}
	if got := save(t, s.NewAltAppender(candidatesOf(end(primary))), 3, "x")[0]; got.File != 3 {
		t.Errorf("saved to %v", got)
	}
	if _, err := os.Stat(s.altPath(3)); err != nil {
		t.Errorf("new file of ALT storage: %v", err)
	}
	l, err := s.Lock(2)
	if err != nil || !l.Alt() {
		t.Fatalf("lock of an ALT file: %+v, %v", l, err)
	}
	if err := errors.Join(l.Unlink(), l.Unlock()); err != nil {
		t.Error(err)
	}
}

func TestTransactionFillsSeveralFiles(t *testing.T) {
	s := newFiles(t, func(c *Config) {
		c.RotateSize, c.Preallocate, c.StorageDir = 1000, true, filepath.Join(t.TempDir(), "mdbox", "storage")
	})
	var texts []string
	for range 20 {
		texts = append(texts, strings.Repeat("x", 300)+"\r\n")
	}
	refs := save(t, s.NewAppender(candidatesOf()), 5, texts...)
	for i, ref := range refs {
		if want := FileID(5 + i/2); ref.File != want {
			t.Errorf("message %d lies in %d, want %d", i, ref.File, want)
		}
		if got, err := read(s, ref, 0, 0); err != nil || got != texts[i] {
			t.Errorf("message %d: %q, %v", i, got, err)
		}
	}
}

func TestRotateStart(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2024, 3, 31, 14, 25, 36, 5, berlin) // the day that summer time began
	for _, c := range []struct {
		interval time.Duration
		want     time.Time
	}{
		{time.Second, now.Truncate(time.Second)},
		{30 * time.Second, time.Date(2024, 3, 31, 14, 25, 7, 0, berlin)},
		{time.Minute, time.Date(2024, 3, 31, 14, 25, 0, 0, berlin)},
		{5 * time.Minute, time.Date(2024, 3, 31, 14, 21, 0, 0, berlin)},
		{time.Hour, time.Date(2024, 3, 31, 14, 0, 0, 0, berlin)},
		{3 * time.Hour, time.Date(2024, 3, 31, 12, 0, 0, 0, berlin)},
		{24 * time.Hour, time.Date(2024, 3, 31, 0, 0, 0, 0, berlin)},
		{7 * 24 * time.Hour, time.Date(2024, 3, 25, 0, 0, 0, 0, berlin)},
	} {
		if got := rotateStart(now, c.interval); got != c.want.Unix() {
			t.Errorf("%v: %v, want %v", c.interval, time.Unix(got, 0).In(berlin), c.want)
		}
	}
	if got := rotateStart(now, 0); got != 0 {
		t.Errorf("no interval: %d", got)
	}
}

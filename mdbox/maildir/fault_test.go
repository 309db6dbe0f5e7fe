package maildir_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/maildir"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
	"github.com/roostmail/roost/mdbox/vfs/crashfs"
)

const crashDir = "/box"

// history is what clients were told.
type history struct {
	tried    map[string]bool   // texts that somebody has begun to save
	saved    map[string]uint32 // texts of messages that were saved, with their UIDs
	expunge  map[string]bool   // texts of messages whose expunge was begun
	expunged map[string]bool   // and was done
	killed   bool              // the process ends with its first error, and undoes nothing
}

var long = "Subject: 2\n\n" + strings.Repeat("long ", 300) + "\n"

// openIn opens the mailbox in a file system of the test.
func openIn(t testing.TB, fsys vfs.FS) (*box, error) {
	b := &box{t: t}
	locks := &filelock.Config{FS: fsys, DotlockExcl: true}
	c := &maildir.Config{FS: fsys, Lock: locks, NewUIDValidity: func() (uint32, error) { return 4711, nil },
		Report: func(err error) { b.reports = append(b.reports, err.Error()) }}
	b.m = maildir.New(c, maildir.Dirs{Mail: crashDir, Control: crashDir}, vfs.Private)
	b.w = &index.Writing{Lock: locks}
	x, l, err := index.Create(t.Context(), index.Options{FS: fsys, Dir: crashDir}, b.w)
	if err != nil {
		return nil, err
	}
	b.x = x
	return b, l.Unlock()
}

// run works until the first error.
func (h *history) run(t testing.TB, fsys vfs.FS) error {
	b, err := openIn(t, fsys)
	if err != nil {
		return err
	}
	save := func(text string, keywords ...string) error {
		h.tried[text] = true
		uid, err := b.save(text, index.FlagSeen, keywords...)
		if err == nil {
			h.saved[text] = uid
		}
		return err
	}
	request := func(p translog.Payload) error {
		return b.locked(func(l *maildir.Locked, x *index.Locked) error {
			if _, err := l.Sync(x, maildir.SyncOptions{}); err != nil {
				return err
			}
			if err := x.Commit(false, translog.NewRecord{Payload: p}); err != nil {
				return err
			}
			_, err := l.Sync(x, maildir.SyncOptions{})
			return err
		})
	}
	expunge := func(text string) error {
		h.expunge[text] = true
		err := request(translog.ExpungeGUIDs{{UID: h.saved[text]}})
		if err == nil {
			h.expunged[text] = true
		}
		return err
	}
	for _, step := range []func() error{
		func() error { _, err := b.sync(maildir.SyncOptions{}); return err },
		func() error { return save("Subject: 1\n\n", "kw1") },
		func() error { return save(long) },
		func() error {
			return request(translog.KeywordUpdate{Name: "kw2", UIDs: []translog.UIDRange{{First: 1, Last: 3}}})
		},
		func() error {
			return request(translog.FlagUpdates{{UIDs: translog.UIDRange{First: 1, Last: 2}, Add: index.FlagFlagged}})
		},
		func() error { return expunge("Subject: 1\n\n") },
		func() error { // two at once, of which there are both or none
			var drafts []*maildir.Draft
			for _, text := range []string{"Subject: 0\n\n", long} {
				d, err := b.m.Link(b.m, h.saved[text])
				if err != nil {
					return errors.Join(err, abort(drafts))
				}
				drafts = append(drafts, d)
			}
			_, err := b.place(drafts...)
			return err
		},
		func() error {
			h.tried["Subject: delivered\n\n"] = true
			d, err := b.m.Link(b.m, h.saved["Subject: 0\n\n"])
			if err != nil {
				return err
			}
			_, err = b.place(d)
			return err
		},
		func() error { return save("Subject: 3\n\n", "kw3", "kw1") },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// Whatever operation fails, and whatever a crash then takes away: the mailbox opens again, has all that was saved and nothing that was
// expunged, and no message is shown under the UID of another one, or in part.
func TestFaultsAndCrashes(t *testing.T) {
	base := crashfs.New()
	for _, dir := range []string{"cur", "new", "tmp"} {
		base.MkdirAll(crashDir+"/"+dir, 0o700)
	}
	base.WriteFile(crashDir+"/new/100.M1P1.h", []byte("Subject: 0\n\n"), 0o600)
	cases := 0
	for _, what := range []crashfs.What{crashfs.IOError, crashfs.Short, crashfs.Full, crashfs.PowerCut} {
		for n := 1; ; n++ {
			fsys := base.After(crashfs.LoseNothing, 0)
			fault := crashfs.Fault{N: n, What: what}
			fsys.Inject(fault)
			h := &history{killed: what == crashfs.PowerCut, tried: map[string]bool{"Subject: 0\n\n": true}, saved: map[string]uint32{"Subject: 0\n\n": 1}, expunge: map[string]bool{}, expunged: map[string]bool{}}
			err := h.run(t, fsys)
			hit := fsys.Hit()
			if err != nil && !hit {
				t.Fatalf("%v: %v", fault, err)
			}
			for _, loss := range crashfs.Losses {
				cases++
				if err := h.check(t, fsys.After(loss, uint64(n)), loss); err != nil {
					t.Errorf("%v, %v: %v (scenario: %v)\n%s", fault, loss, err, err, fsys.TraceString(crashfs.Writes))
					return
				}
			}
			if !hit {
				break
			}
		}
	}
	t.Logf("%d cases", cases)
}

// check opens the mailbox again, after a crash, and returns what is wrong.
func (h *history) check(t testing.TB, fsys *crashfs.FS, loss crashfs.Loss) error {
	b, err := openIn(t, fsys)
	var corrupt *vfs.CorruptError
	if loss == crashfs.LoseSome && errors.As(err, &corrupt) {
		// A transaction of the log that was not synced and another one behind it: the index is repaired as far as it can be read.
		if err := repair(t, fsys); err != nil {
			return fmt.Errorf("repair: %w", err)
		}
		b, err = openIn(t, fsys)
	}
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	for range 2 {
		if _, err := b.sync(maildir.SyncOptions{Force: true}); err != nil {
			return fmt.Errorf("sync: %w", err)
		}
	}
	uids, copies := map[string]uint32{}, map[string]int{}
	for _, uid := range b.x.State().UIDs() {
		f, _, err := b.m.Open(uid)
		if err != nil {
			return err
		}
		st, err := f.Stat()
		p := make([]byte, st.Size)
		_, readErr := f.ReadAt(p, 0)
		if err = errors.Join(err, readErr, f.Close()); err != nil {
			return err
		}
		if text := string(p); !h.tried[text] {
			return fmt.Errorf("message %d is %.40q", uid, text)
		}
		copies[string(p)]++
		if uids[string(p)] == 0 { // a copy has the same text
			uids[string(p)] = uid
		}
	}
	if one, two := copies["Subject: 0\n\n"] > 1, copies[long] > 1; one != two && h.killed && loss == crashfs.LoseNothing {
		return fmt.Errorf("of two messages that were copied together there is one: %v", copies)
	}
	for text, uid := range h.saved {
		if !h.expunge[text] && uids[text] != uid {
			return fmt.Errorf("%.40q had UID %d, and has %d", text, uid, uids[text])
		}
	}
	for text := range h.expunged {
		if uid := uids[text]; uid != 0 {
			return fmt.Errorf("%.40q was expunged, and has UID %d", text, uid)
		}
	}
	return nil
}

// repair keeps of an index what can be read.
func repair(t testing.TB, fsys vfs.FS) error {
	w := &index.Writing{Lock: &filelock.Config{FS: fsys, DotlockExcl: true}}
	x, l, err := index.Repair(t.Context(), index.Options{FS: fsys, Dir: crashDir}, w)
	if err != nil {
		return err
	}
	return errors.Join(l.Reset(0, x.State().Records(nil)...), l.Unlock())
}

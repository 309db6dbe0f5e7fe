package index_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mdboxtest"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// ownedFS gives the files that a test run by root makes to the owner of the store.
type ownedFS struct {
	vfs.FS
	uid, gid int
}

func (o ownedFS) OpenWrite(name string, how vfs.How, perm fs.FileMode) (vfs.WritableFile, error) {
	f, err := o.FS.OpenWrite(name, how, perm)
	if err == nil && how&vfs.Create != 0 && os.Geteuid() == 0 {
		err = os.Chown(name, o.uid, o.gid)
	}
	return f, err
}

// session changes a mailbox of a store as a server does that shares it with Dovecot. It
// knows nothing of m.N: new messages are copies.
type session struct {
	t        testing.TB
	fs       vfs.FS
	rnd      *rand.Rand
	box, mp  *index.Index
	boxW, mW *index.Writing
	done     map[string]int // operations by name
}

// newSession opens a mailbox. tune changes how it is written.
func newSession(t testing.TB, store *mdboxtest.Store, mailbox string, seed uint64, tune func(*index.Writing)) *session {
	t.Helper()
	st, err := os.Stat(store.Root)
	if err != nil {
		t.Fatal(err)
	}
	sys := st.Sys().(*syscall.Stat_t)
	fsys := ownedFS{vfs.OS, int(sys.Uid), int(sys.Gid)}
	s := &session{t: t, fs: fsys, rnd: rand.New(rand.NewPCG(seed, 1)), done: map[string]int{}}
	w := index.Writing{Lock: &filelock.Config{FS: fsys, DotlockExcl: true}, Warn: func(path, what string) { t.Errorf("%s: %s", path, what) }}
	if tune != nil {
		tune(&w)
	}
	mapW, boxW := w, w
	boxW.Backup = true
	s.boxW, s.mW = &boxW, &mapW
	if s.box, err = index.Open(index.Options{FS: fsys, Dir: store.Mailbox(mailbox)}); err != nil {
		t.Fatal(err)
	}
	if s.mp, err = index.Open(index.Options{FS: fsys, Dir: store.Storage(), Prefix: "dovecot.map.index"}); err != nil {
		t.Fatal(err)
	}
	return s
}

// options are those of the mailbox INBOX.
func (s *session) options(store *mdboxtest.Store) index.Options {
	return index.Options{FS: s.fs, Dir: store.Mailbox("INBOX")}
}

// step does one random operation.
func (s *session) step() error {
	ops := []struct {
		name string
		do   func() error
	}{
		{"flags", s.flags}, {"flags", s.flags}, {"keyword", s.keyword}, {"keyword", s.keyword}, {"keywords", s.resetKeywords},
		{"copy", s.copy}, {"copy", s.copy}, {"expunge", s.expunge}, {"request", s.request}, {"recent", s.recent}, {"modseqs", s.enableModSeqs},
	}
	op := ops[s.rnd.IntN(len(ops))]
	s.done[op.name]++
	if err := op.do(); err != nil {
		return fmt.Errorf("%s: %w", op.name, err)
	}
	return nil
}

// locked runs f with the mailbox locked, commits what it returns, and ends the sync if that is possible.
func (s *session) locked(durable bool, f func(l *index.Locked) []translog.NewRecord) (err error) {
	l, err := s.box.Lock(context.Background(), s.boxW)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Unlock()) }()
	if l.State().Len() == 0 {
		return nil
	}
	if err := l.Commit(durable, f(l)...); err != nil {
		return err
	}
	if err := l.CommitTail(); errors.Is(err, index.ErrRequests) {
		return nil
	} else if err != nil {
		return err
	}
	return l.Maintain()
}

func internal(p translog.Payload) translog.NewRecord { return translog.NewRecord{Payload: p} }
func external(p translog.Payload) translog.NewRecord {
	return translog.NewRecord{External: true, Payload: p}
}

// ranges returns ranges of UIDs, of which some exist.
func (s *session) ranges(l *index.Locked) (rs []translog.UIDRange) {
	uids := l.State().UIDs()
	for i := s.rnd.IntN(len(uids)); i < len(uids) && len(rs) < 3; {
		j := min(i+s.rnd.IntN(4), len(uids)-1)
		rs = append(rs, translog.UIDRange{First: uids[i], Last: uids[j]})
		i = j + 1 + s.rnd.IntN(3)
	}
	return rs
}

func (s *session) flags() error {
	return s.locked(false, func(l *index.Locked) []translog.NewRecord {
		var us translog.FlagUpdates
		for _, r := range s.ranges(l) {
			u := translog.FlagUpdate{UIDs: r, Add: uint8(s.rnd.IntN(32)), Remove: uint8(s.rnd.IntN(32))}
			switch s.rnd.IntN(4) {
			case 0:
				u.Remove = 0x1f
			case 1:
				u.Add = 0
			}
			if u.Add|u.Remove == 0 {
				u.Add = index.FlagSeen
			}
			us = append(us, u)
		}
		return []translog.NewRecord{internal(us)}
	})
}

func (s *session) keyword() error {
	return s.locked(false, func(l *index.Locked) (rs []translog.NewRecord) {
		for range 1 + s.rnd.IntN(3) {
			name := fmt.Sprintf([]string{"kw%d", "KW%d", "roost%d"}[s.rnd.IntN(3)], s.rnd.IntN(30))
			rs = append(rs, internal(translog.KeywordUpdate{Remove: s.rnd.IntN(3) == 0, Name: name, UIDs: s.ranges(l)}))
		}
		return rs
	})
}

func (s *session) resetKeywords() error {
	return s.locked(false, func(l *index.Locked) []translog.NewRecord {
		return []translog.NewRecord{internal(translog.KeywordReset(s.ranges(l)))}
	})
}

func (s *session) recent() error {
	return s.locked(false, func(l *index.Locked) []translog.NewRecord {
		if l.State().FirstRecentUID() == l.State().NextUID() {
			return nil
		}
		return []translog.NewRecord{external(index.FirstRecentUIDUpdate(l.State().NextUID()))}
	})
}

func (s *session) enableModSeqs() error {
	return s.locked(false, func(l *index.Locked) []translog.NewRecord {
		if l.State().HasModSeqs() || s.rnd.IntN(4) > 0 {
			return nil
		}
		return l.EnableModSeqs()
	})
}

// request asks to expunge a message, as any session may.
func (s *session) request() error {
	l, err := s.box.Lock(context.Background(), s.boxW)
	if err != nil {
		return err
	}
	if l.State().Len() > 3 {
		uid := l.State().UIDs()[s.rnd.IntN(l.State().Len())]
		err = l.Commit(false, internal(translog.ExpungeGUIDs{{UID: uid}}))
	}
	return errors.Join(err, l.Unlock())
}

// both runs f with map and mailbox locked. f returns the changes of refcounts by map UID,
// and the records for the mailbox.
func (s *session) both(f func(box *index.Locked) (map[uint32]int32, []translog.NewRecord)) (err error) {
	ctx := context.Background()
	mp, err := s.mp.Lock(ctx, s.mW)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, mp.Unlock()) }()
	if !mp.TailIsHead() {
		return errors.New("the map was left with tail != head")
	}
	box, err := s.box.Lock(ctx, s.boxW)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Unlock()) }()
	if box.State().Len() == 0 {
		return nil
	}
	refs, records := f(box)
	if len(records) == 0 {
		return nil
	}
	var incs translog.ExtAtomicIncs
	for uid, diff := range refs {
		incs = append(incs, translog.ExtAtomicInc{UID: uid, Diff: diff})
	}
	if err := mp.Commit(true, internal(translog.ExtIntros{mp.Intro("ref", 0, 2, 2)}), internal(incs)); err != nil {
		return err
	}
	if err := box.Commit(true, records...); err != nil {
		return err
	}
	if err := errors.Join(box.CommitTail(), box.Maintain()); err != nil {
		return err
	}
	return errors.Join(mp.CommitTail(), mp.Maintain())
}

// expunged returns what is to be done to expunge messages.
func expunged(s *index.State, uids []uint32) (map[uint32]int32, translog.ExpungeGUIDs) {
	refs := map[uint32]int32{}
	var es translog.ExpungeGUIDs
	for _, uid := range uids {
		i, ok := s.Find(uid)
		if !ok {
			continue
		}
		rec, _ := index.DecodeMdboxRecord(s.Ext(index.ExtMdbox).Record(i))
		guid, _ := index.DecodeGUID(s.Ext(index.ExtGUID).Record(i))
		refs[rec.MapUID]--
		es = append(es, translog.ExpungeGUID{UID: uid, GUID: guid})
	}
	return refs, es
}

func (s *session) expunge() error {
	return s.both(func(box *index.Locked) (map[uint32]int32, []translog.NewRecord) {
		requests, err := box.Requests()
		if err != nil {
			s.t.Error(err)
		}
		var uids []uint32
		for _, r := range requests {
			uids = append(uids, r.UID)
		}
		if st := box.State(); st.Len() > 8 {
			uids = append(uids, st.UIDs()[s.rnd.IntN(st.Len())])
		}
		slices.Sort(uids)
		refs, es := expunged(box.State(), slices.Compact(uids))
		if len(es) == 0 {
			return nil, nil
		}
		return refs, []translog.NewRecord{external(es)}
	})
}

// copy makes a message that shares the content of another one, with flags and keywords of its own.
func (s *session) copy() error {
	return s.both(func(box *index.Locked) (map[uint32]int32, []translog.NewRecord) {
		st := box.State()
		now := time.Now()
		uid := st.NextUID()
		var appends translog.Appends
		recs, guids := translog.NewExtRecUpdates(8), translog.NewExtRecUpdates(16)
		requests, err := box.Requests()
		if err != nil {
			s.t.Error(err)
		}
		var gone []uint32
		for _, r := range requests {
			gone = append(gone, r.UID)
		}
		refs, es := expunged(st, gone)
		for range 1 + s.rnd.IntN(3) {
			i := s.rnd.IntN(st.Len())
			rec, _ := index.DecodeMdboxRecord(st.Ext(index.ExtMdbox).Record(i))
			refs[rec.MapUID]++
			rec.SaveDate = uint32(now.Unix())
			appends = append(appends, translog.AppendedMessage{UID: uid, Flags: uint8(s.rnd.IntN(32))})
			recs.Add(uid, rec.Append(nil))
			guids.Add(uid, st.Ext(index.ExtGUID).Record(i))
			uid++
		}
		records := []translog.NewRecord{external(appends),
			external(translog.ExtIntros{box.Intro(index.ExtMdbox, 0, 8, 4)}), external(recs),
			external(translog.ExtIntros{box.Intro(index.ExtGUID, 0, 16, 1)}), external(guids)}
		if s.rnd.IntN(2) == 0 {
			records = append(records, external(translog.KeywordUpdate{Name: fmt.Sprintf("kw%d", s.rnd.IntN(40)),
				UIDs: []translog.UIDRange{{First: appends[0].UID, Last: uid - 1}}}))
		}
		if len(es) > 0 {
			records = append(records, external(es))
		}
		if day, ok := st.DayUpdate(now, appends[0].UID); ok {
			records = append(records, external(day))
		}
		return refs, records
	})
}

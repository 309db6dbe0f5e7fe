package check_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/translog"
)

// excuse is what a damage has destroyed for good, since it was in no other file: computed from the store before and the damaged
// file, without the code under test.
type excuse struct {
	messages    map[string]bool // by GUID: a part of it is gone
	whole       map[string]bool // by GUID: nothing of its text is left
	uids, flags map[string]map[uint32]bool
}

func (e *excuse) note(m map[string]map[uint32]bool, box string, first, last uint32) {
	if m[box] == nil {
		m[box] = map[uint32]bool{}
	}
	for uid := first; uid <= last && uid-first < 10_000; uid++ {
		m[box][uid] = true
	}
}

// excuses compares a file before and after it was damaged; after is nil if it is gone.
func excuses(t *testing.T, path, kind, box string, before []byte) *excuse {
	t.Helper()
	e := &excuse{messages: map[string]bool{}, whole: map[string]bool{}, uids: map[string]map[uint32]bool{}, flags: map[string]map[uint32]bool{}}
	after, err := os.ReadFile(path)
	if err != nil {
		after = nil
	}
	hit := func(from, to int64) bool {
		return to > int64(len(after)) || !bytes.Equal(before[from:to], after[from:to])
	}
	switch kind {
	case "m.N":
		e.mailFile(t, before, after, hit)
	case "log", "log2":
		e.log(t, path, box, before, hit)
	}
	return e
}

// mailFile excuses the messages that the damage has hit.
func (e *excuse) mailFile(t *testing.T, before, after []byte, hit func(from, to int64) bool) {
	t.Helper()
	tmp := filepath.Join(t.TempDir(), "m.1")
	if err := os.WriteFile(tmp, before, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(tmp)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = dbox.Scan(statFile{f}, 1<<20, func(_ dbox.FileHeader, m *dbox.Scanned) error {
		guid, _ := m.Metadata.Get(dbox.KeyGUID)
		if hit(int64(m.Offset), int64(m.End)) {
			e.messages[string(guid)] = true
		}
		if int64(m.Body) >= int64(len(after)) { // not a byte of it is left
			e.whole[string(guid)] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// log excuses what the records said that the damage has hit, if the snapshot does not say it too.
func (e *excuse) log(t *testing.T, path, box string, before []byte, hit func(from, to int64) bool) {
	t.Helper()
	h, err := translog.DecodeHeader(before)
	if err != nil {
		t.Fatal(err)
	}
	var known translog.Pos
	dir := filepath.Dir(path)
	if b, err := os.ReadFile(filepath.Join(dir, "dovecot.index")); err == nil {
		s, err := index.DecodeSnapshot(b, 0)
		if err != nil {
			t.Fatal(err)
		}
		known = s.Header().LogHead()
	}
	s := translog.NewScanner(before[h.HdrSize:], h.Start())
	introHit, recordSize := false, uint16(0)
	for {
		r, ok := s.Next()
		if !ok {
			return
		}
		at := r.Pos
		damaged := hit(int64(at.Offset), int64(r.End().Offset))
		p, err := r.Decode(recordSize)
		if err != nil {
			t.Fatal(err)
		}
		if is, ok := p.(translog.ExtIntros); ok {
			introHit, recordSize = damaged, is[len(is)-1].RecordSize
		}
		if at.FileSeq < known.FileSeq || at.FileSeq == known.FileSeq && at.Offset < known.Offset {
			continue
		}
		switch p := p.(type) {
		case translog.Appends:
			for _, m := range p {
				if damaged {
					e.note(e.uids, box, m.UID, m.UID)
					e.note(e.flags, box, m.UID, m.UID)
				}
			}
		case translog.FlagUpdates:
			for _, u := range p {
				if damaged {
					e.note(e.flags, box, u.UIDs.First, u.UIDs.Last)
				}
			}
		case translog.KeywordUpdate:
			for _, u := range p.UIDs {
				if damaged {
					e.note(e.flags, box, u.First, u.Last)
				}
			}
		case translog.ExtRecUpdates:
			for i := range p.Len() {
				if uid, _ := p.At(i); damaged || introHit {
					e.note(e.uids, box, uid, uid)
					e.note(e.flags, box, uid, uid)
				}
			}
		}
	}
}

// boxOf returns the mailbox of a file below the root.
func boxOf(s string) string {
	_, rest, ok := strings.Cut(filepath.ToSlash(s), "mailboxes/")
	if !ok {
		return ""
	}
	dir, _, _ := strings.Cut(rest, "/dbox-Mails/")
	return dir
}

// unexcused counts the losses that need not have been.
func (e *excuse) unexcused(before, after contents) (l losses, what []string) {
	where := map[string]string{}
	for _, box := range after {
		for _, m := range box {
			where[m.guid] += m.hash + " "
		}
	}
	for name, box := range before {
		storage := storageName(name)
		for uid, m := range box {
			hashes, there := where[m.guid]
			lost := !there || strings.TrimSpace(hashes) == ""
			switch {
			case e.whole[m.guid]:
				continue
			case lost:
				l.messages++
				what = append(what, "message "+m.guid+" of "+name)
			case !e.messages[m.guid] && !strings.Contains(hashes, m.hash):
				l.damaged++
				what = append(what, "text of "+m.guid+" of "+name)
			}
			now, kept := after[name][uid]
			if (!kept || now.guid != m.guid) && !e.uids[storage][uid] {
				l.uids++
				what = append(what, "UID of "+m.guid+" of "+name)
			}
			if m.flags != "00" && (!kept || now.flags != m.flags) && !e.flags[storage][uid] {
				l.flags++
				what = append(what, "flags of "+m.guid+" of "+name+": "+now.flags+", were "+m.flags)
			}
		}
	}
	return l, what
}

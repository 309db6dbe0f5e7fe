package check

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mapindex"
)

// rewriteFiles saves what is in damaged mail files to new ones.
func (b *builder) rewriteFiles() error {
	for _, f := range b.files {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		if f.dirty != "" {
			if err := b.rewriteFile(f); err != nil {
				return fmt.Errorf("%s: %w", f.path, err)
			}
		} else if f.rename {
			if err := b.renumber(f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *builder) rewriteFile(f *oldFile) error {
	_, found, err := b.salvageFile(f)
	if err != nil {
		return err
	}
	a := b.r.Files().NewAppender(func(func(dbox.Candidate) bool) {})
	if f.alt {
		a = b.r.Files().NewAltAppender(func(func(dbox.Candidate) bool) {})
	}
	stored := map[*mail]dbox.Stored{}
	for _, m := range f.mails {
		if !m.wanted() {
			continue
		}
		found[m.n].Check()
		if m.newGUID != (dbox.GUID{}) {
			found[m.n].SetGUID(m.newGUID)
		}
		st, err := a.SaveFound(found[m.n], m.fallback)
		if err != nil {
			return errors.Join(err, a.Abort())
		}
		stored[m] = st
	}
	err = a.Sync()
	if err == nil {
		err = b.reserve(a.NewFiles())
	}
	if err == nil {
		err = a.Name(b.highest + 1)
	}
	if err != nil {
		return errors.Join(err, a.Abort())
	}
	for m, st := range stored {
		id := a.FileID(st)
		b.highest = max(b.highest, id)
		m.moved = &mapindex.Location{FileID: uint32(id), Offset: st.Offset, Size: st.Size}
		m.guid = st.GUID
		f.newID = id
	}
	return a.Release()
}

// reserve notes in the map, if it is in order, that n more file numbers are used.
func (b *builder) reserve(n int) error {
	if n == 0 || b.mapSeen.Damaged() {
		return nil
	}
	return mapindex.LockedIndex(b.r.Map).Reserve(uint32(b.highest) + uint32(n))
}

// renumber gives a file another number, since there are two with the same.
func (b *builder) renumber(f *oldFile) error {
	if err := b.reserve(1); err != nil {
		return err
	}
	b.highest++
	to := filepath.Join(filepath.Dir(f.path), "m."+strconv.FormatUint(uint64(b.highest), 10))
	if err := b.o.FS.Rename(f.path, to); err != nil {
		return err
	}
	if err := b.o.FS.SyncDir(filepath.Dir(f.path)); err != nil {
		return err
	}
	b.did(Repair{File: f.path, What: "another file has this number, so it was named " + filepath.Base(to)})
	f.path, f.id = to, b.highest
	return nil
}

// setAside keeps the damaged files under other names, when the map refers to the new ones.
func (b *builder) setAside() error {
	for _, f := range b.files {
		if f.dirty == "" {
			continue
		}
		to, err := b.r.Files().SetAside(f.path)
		if err != nil {
			return err
		}
		if err := b.o.FS.SyncDir(filepath.Dir(f.path)); err != nil {
			return err
		}
		n := 0
		for _, m := range f.mails {
			if m.moved != nil {
				n++
			}
		}
		what := fmt.Sprintf("%s: %d messages were saved to new files, the damaged one is kept as %s", f.dirty, n, filepath.Base(to))
		b.did(Repair{File: f.path, What: what})
		for _, m := range f.mails {
			if m.moved != nil && m.wrong != "" {
				b.did(Repair{File: f.path, What: fmt.Sprintf("the message at offset %d was saved with what can be read of it: %s", m.off, m.wrong)})
			}
		}
	}
	return nil
}

// repairMap makes the map one that has each message, where it is, and how often it is referred to.
func (b *builder) repairMap() error {
	l := b.r.Map
	path := b.paths.Map + "/" + mapindex.Prefix
	s := b.mapSeen.State
	switch {
	case b.leftOut && b.mapLost:
		s.SetUIDValidity(b.newMapUIDValidity())
		b.mapSeen.Complete = false
		b.did(Repair{File: path, What: "the map got another UIDVALIDITY, since directories that are no mailboxes may have map UIDs that it has lost"})
	case s.UIDValidity() == 0:
		s.SetUIDValidity(b.mapUIDValidity())
		b.mapSeen.Complete = false
	}
	changed, err := b.mend(l, b.mapSeen, path, "")
	if err != nil {
		return err
	}
	e := mapindex.Edit{Highest: uint32(b.highest), References: map[mapindex.UID]uint16{}, Moved: map[mapindex.UID]mapindex.Location{}}
	used := map[mapindex.UID]bool{}
	next := mapindex.UID(l.State().NextUID())
	for _, box := range b.boxes {
		for _, r := range box.refs { // a map UID is never used again
			if r.to < 1<<32-1<<20 {
				next = max(next, r.to+1)
			}
		}
	}
	e.Next = next
	if n := b.torn[""]; n > 0 {
		b.did(Repair{File: path + ".log", What: fmt.Sprintf("an unfinished write of %d bytes was cut off", n)})
	}
	for _, m := range b.mails {
		n := m.refs
		if m.kept {
			n = max(n, int(m.refcount))
		}
		if m.restore {
			n++
		}
		switch {
		case n == 0 && (!m.inMap || m.file.dirty != ""):
			if !m.inMap && m.file.dirty == "" && b.mapLost { // so that a purge finds it
				e.New = append(e.New, mapindex.Entry{Location: m.location()})
				m.uid = next
				next++
			}
		case !m.inMap:
			m.uid = next
			next++
			e.New = append(e.New, mapindex.Entry{Location: m.location(), Refcount: uint16(n)})
		default:
			used[m.uid] = true
			if old := b.entries[m.uid]; old.Location != m.location() && !(old.Size == 0 && m.moved == nil && !m.file.rename) {
				e.Moved[m.uid] = m.location()
			}
			if int(m.refcount) != n {
				e.References[m.uid] = uint16(n)
			}
		}
	}
	for _, uid := range l.State().UIDs() {
		if !used[mapindex.UID(uid)] {
			e.Gone = append(e.Gone, mapindex.UID(uid))
		}
	}
	if !changed && e.Empty() && uint32(e.Next) <= l.State().NextUID() && mapindex.HeaderOf(l.State()).HighestFileID >= e.Highest {
		return b.setAside()
	}
	if err := mapindex.LockedIndex(l).Apply(e); err != nil {
		return err
	}
	for _, d := range []struct {
		n    int
		what string
	}{{len(e.New), "messages were added"}, {len(e.Moved), "messages are in other places"}, {len(e.Gone), "entries without a message were removed"},
		{len(e.References), "numbers of references were corrected"}} {
		if d.n > 0 {
			b.did(Repair{File: path, What: fmt.Sprintf("%d %s", d.n, d.what)})
		}
	}
	return b.setAside()
}

// mapUIDValidity returns the UIDVALIDITY of a map that has lost it: what the mailboxes say.
func (b *builder) mapUIDValidity() uint32 {
	count := map[uint32]int{}
	var most uint32
	for _, box := range b.boxes {
		if v := headerOf(box.seen.State).MapUIDValidity; v != 0 {
			if count[v]++; count[v] > count[most] {
				most = v
			}
		}
	}
	if most == 0 {
		most = max(1, b.mapSeen.State.Header().IndexID())
	}
	return most
}

// newMapUIDValidity returns a UIDVALIDITY that the map never had. What refers to the one of before, and is not repaired with the rest, is seen to
// belong to another map: it would get other messages under its map UIDs.
func (b *builder) newMapUIDValidity() uint32 {
	v := max(b.mapSeen.State.UIDValidity(), b.mapSeen.State.Header().IndexID(), uint32(time.Now().Unix()))
	for _, box := range b.boxes {
		v = max(v, headerOf(box.seen.State).MapUIDValidity)
	}
	if v++; v == 0 {
		v = 1
	}
	return v
}

// mend makes an index whole: it has the state seen afterwards.
func (b *builder) mend(l *index.Locked, seen *index.Salvaged, path, mailbox string) (changed bool, err error) {
	files := seen.Snapshot || seen.Backup || seen.Log || seen.Log2
	what := ""
	switch {
	case !seen.Damaged() && seen.Complete:
		return false, nil
	case seen.Log || !seen.Complete || !files:
		s := seen.State
		l.Adopt(s)
		if err := l.Reset(s.HighestModSeq(), s.Records(nil)...); err != nil {
			return false, err
		}
		what = "made anew"
	case seen.Snapshot || seen.Log2:
		if err := l.ReplaceSnapshot(seen.State); err != nil {
			return false, err
		}
		what = "dovecot.index was written anew"
	default:
		what = "the damaged copy was removed"
	}
	for suffix, bad := range map[string]bool{".log.2": seen.Log2, ".backup": seen.Backup} {
		if bad {
			if err := mdbox.RemoveSpare(b.o.FS, path+suffix); err != nil {
				return false, err
			}
		}
	}
	if seen.From != "" {
		what += ", from " + seen.From
	}
	if seen.Complete {
		what += "; nothing is lost"
	}
	for _, c := range seen.Damage {
		b.did(Repair{File: c.File, What: fmt.Sprintf("offset %d: %s: %s", c.Offset, c.Rule, what), Mailbox: mailbox})
	}
	if !seen.Complete {
		b.did(Repair{File: path, What: "some of what was written last may be missing", Mailbox: mailbox, Lost: true})
	}
	return true, nil
}

// finishMap says that all references are counted.
func (b *builder) finishMap() error {
	l := b.r.Map
	if l.TailIsHead() {
		return nil
	}
	b.did(Repair{File: b.paths.Map + "/" + mapindex.Prefix, What: "an unfinished change was brought to an end"})
	return l.CommitTail()
}

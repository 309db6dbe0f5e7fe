package maildir

import (
	"math/bits"
	"path"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/translog"
)

// differences is what is different between the files and the index.
type differences struct {
	s     *syncing
	state *index.State

	letters  []Letters // of each keyword number of the index
	changes  *flagRecords
	appended []appended
	expunged []index.SizedMessage
	unsized  bool // the size of an expunged message is not known
	renamed  int
}

// appended is a message that comes into the index.
type appended struct {
	uid     uint32
	flags   uint8
	letters Letters
	size    int64 // virtual, -1 = not known
	recent  bool
}

// collect carries out what clients asked for, and finds the differences.
func (d *differences) collect() error {
	for _, name := range d.state.Keywords() {
		d.letters = append(d.letters, d.s.l.keywords.Letter(name))
	}
	if !d.s.scanned && d.s.todo.empty() {
		return nil
	}
	seen := make([]bool, d.state.Len())
	entries := d.s.l.m.list.Entries
	for i := range entries {
		if err := d.message(&entries[i], seen); err != nil {
			return err
		}
	}
	for i, there := range seen {
		if uid := d.state.UIDs()[i]; !there && (d.s.scanned || d.s.todo.expunges(uid)) {
			d.expunge(uid)
		}
	}
	return nil
}

// message compares a message of dovecot-uidlist with the index, whose messages that exist it notes in seen.
func (d *differences) message(e *Entry, seen []bool) error {
	if err := d.s.l.touch(); err != nil {
		return err
	}
	i, known := d.state.Find(e.UID)
	file, there := d.s.files[e.Base]
	switch {
	case !there:
		return nil
	case !known:
		if e.UID >= d.state.NextUID() {
			d.append(e, file)
		}
		return nil
	}
	seen[i] = true
	expunges, touches := d.s.todo.expunges(e.UID), d.s.todo.touches(e.UID)
	if !d.s.scanned && !expunges && !touches {
		return nil // its file may have another name than is known here: the index says what another server has seen since
	}
	if expunges {
		err := d.s.remove(e.Base)
		switch {
		case err == nil:
			delete(d.s.files, e.Base)
			seen[i] = false
			return nil
		case !d.s.l.m.stays(file, err):
			return err
		}
	}
	dirty := d.state.Flags()[i]&index.FlagDirty != 0
	if touches {
		err := d.rename(i, e)
		if dirty = err != nil; dirty && !d.s.l.m.stays(file, err) {
			return err
		}
		dirty = dirty || d.unnamed(e.UID)
	}
	if file, there = d.s.files[e.Base]; !there { // it went away
		seen[i] = false
		return nil
	}
	d.compare(i, file, dirty)
	return nil
}

// unnamed reports whether a message gets a keyword that has no letter yet, and may get one later.
func (d *differences) unnamed(uid uint32) bool {
	for _, name := range d.s.unnamed {
		if d.s.l.keywords.Letter(name) == 0 && d.s.todo.adds(uid, name) {
			return true
		}
	}
	return false
}

// rename carries out the changes of flags of message i, also of earlier ones that could not be.
func (d *differences) rename(i int, e *Entry) error {
	m := d.s.l.m
	return d.s.atFile(e.Base, func(from string) error {
		flags, letters := ParseFlags(path.Base(from))
		if have := d.state.Flags()[i]; have&index.FlagDirty != 0 {
			flags, letters = have&flagsMask, letters&^d.s.l.keywords.Known()|d.lettersOf(i)
		}
		flags, letters = d.s.todo.apply(e.UID, flags, letters, &d.s.l.keywords)
		to := dirCur + "/" + WithFlags(path.Base(from), flags, letters)
		if m.path(to) == from {
			_, err := m.c.fs().Stat(from)
			return err
		}
		if err := m.c.fs().Rename(from, m.path(to)); err != nil {
			return err
		}
		d.renamed++
		d.s.files[e.Base] = to
		return nil
	})
}

// compare notes how flags and keywords of message i differ from its file, or that it is dirty: the file could not be renamed, and the
// index is right.
func (d *differences) compare(i int, file string, dirty bool) {
	have, uid := d.state.Flags()[i], d.state.UIDs()[i]
	if dirty {
		d.changes.flags(uid, index.FlagDirty&^have, 0)
		return
	}
	flags, letters := ParseFlags(file)
	d.changes.flags(uid, flags&^have, have&(flagsMask|index.FlagDirty)&^flags)
	letters &= d.s.l.keywords.Known()
	inIndex := d.lettersOf(i)
	d.changes.keywords(uid, letters&^inIndex, inIndex&^letters)
}

// lettersOf returns the keywords of message i that have letters.
func (d *differences) lettersOf(i int) (set Letters) {
	if len(d.letters) == 0 {
		return 0
	}
	var words [8]uint64
	for w, word := range d.state.AppendKeywords(words[:0], i, d.state.KeywordWords()) {
		for ; word != 0; word &= word - 1 {
			set |= d.letters[w*64+bits.TrailingZeros64(word)]
		}
	}
	return set
}

func (d *differences) append(e *Entry, file string) {
	flags, letters := ParseFlags(file)
	_, size := Sizes(e.Base)
	recent := d.s.fresh[e.UID] || file[:len(dirNew)] == dirNew
	d.appended = append(d.appended, appended{uid: e.UID, flags: flags, letters: letters & d.s.l.keywords.Known(), size: size, recent: recent})
}

// expunge notes that a message leaves the index.
func (d *differences) expunge(uid uint32) {
	m := index.SizedMessage{UID: uid}
	size := int64(-1)
	if e := d.s.l.m.list.find(uid); e != nil {
		_, size = Sizes(e.Base)
	}
	if size < 0 {
		d.unsized = true
	}
	m.Size = uint64(max(size, 0))
	d.expunged = append(d.expunged, m)
}

// records returns the transaction that makes the index equal to the files.
func (d *differences) records() (records []translog.NewRecord) {
	list := d.s.l.m.list
	records = d.s.headerRecords()
	if d.state.UIDValidity() == 0 {
		records = append(records, done(index.UIDValidityUpdate(list.UIDValidity)))
	}
	records = append(records, appendRecords(d.appended, &d.s.l.keywords)...)
	records = append(records, d.changes.records(&d.s.l.keywords)...)
	if len(d.expunged) > 0 {
		gone := make(translog.ExpungeGUIDs, len(d.expunged))
		for i, m := range d.expunged {
			gone[i].UID = m.UID
		}
		records = append(records, done(gone))
	}
	next, recent := d.state.NextUID(), d.state.FirstRecentUID()
	for _, a := range d.appended {
		next = a.uid + 1
		if !a.recent {
			recent = max(recent, next)
		}
	}
	if next < list.NextUID && (d.s.scanned || d.state.UIDValidity() == 0) {
		records = append(records, done(index.NextUIDUpdate(list.NextUID)))
	}
	if recent > d.state.FirstRecentUID() {
		records = append(records, done(index.FirstRecentUIDUpdate(recent)))
	}
	if d.s.cleaned != 0 && len(records) > 0 {
		records = append(records, done(index.LastTempFileScanUpdate(d.s.cleaned)))
	}
	if len(d.appended) > 0 {
		if day, ok := d.state.DayUpdate(d.s.l.m.c.now(), d.appended[0].uid); ok {
			records = append(records, done(day))
		}
	}
	if d.s.o.Records != nil && !d.unsized && len(d.expunged)+len(d.appended) > 0 {
		records = append(records, d.s.o.Records(d.expunged, sizedUntil(d.appended))...)
	}
	return records
}

// sizedUntil returns the sizes of new messages, up to the first whose size is not known.
func sizedUntil(appended []appended) (sized []index.SizedMessage) {
	for _, a := range appended {
		if a.size < 0 {
			break
		}
		sized = append(sized, index.SizedMessage{UID: a.uid, Size: uint64(a.size)})
	}
	return sized
}

package check

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mapindex"
	"github.com/roostmail/roost/mdbox/vfs"
)

// oldBox is a mailbox as it was found.
type oldBox struct {
	name    string
	o       index.Options
	seen    *index.Salvaged
	lost    bool // nothing of its index is left
	refs    []*oldRef
	restore []*mail // that come (back) to it
}

// complete reports whether the mailbox is known to have all that happened to it.
func (b *oldBox) complete() bool { return b.seen.Complete }

// oldRef is a message of a mailbox.
type oldRef struct {
	reference
	box  *oldBox
	mail *mail // nil: gone
	drop string
	fix  bool // map UID or GUID have to be set
}

// place is where a message is.
type place struct {
	file   *oldFile
	offset uint64
}

// oldFile is an m.N file as it was found.
type oldFile struct {
	mailFile
	alt    bool
	dirty  string // why it has to be written anew; "" = it has not
	newID  dbox.FileID
	mails  []*mail
	known  map[uint64]uint64 // offsets and sizes of messages that the map has in it
	rename bool              // another file has its number
}

// mail is a message in an m.N file.
type mail struct {
	file       *oldFile
	n          int // of the messages of the file
	off, size  uint64
	guid       dbox.GUID
	mailbox    string // storage name
	received   int64
	wrong      string
	uid        mapindex.UID // 0: not in the map
	refcount   uint16       // of the map
	inMap      bool
	refs       int
	restore    bool
	kept       bool // the map counts references, and some may be where they can not be counted
	fallback   dbox.NewMessage
	newGUID    dbox.GUID // that the message gets; zero: its own
	moved      *mapindex.Location
	restoredTo string
}

// wanted reports whether somebody refers to the message, or may, or will.
func (m *mail) wanted() bool { return m.refs > 0 || m.kept || m.restore }

// readMap reads what there is of the map.
func (b *builder) readMap() (err error) {
	if b.mapSeen, err = index.Salvage(b.s.MapOptions()); err != nil {
		return err
	}
	b.entries = map[mapindex.UID]mapindex.Entry{}
	if b.mapSeen.State == nil {
		b.mapSeen.State = b.r.Map.State()
		b.mapLost = true
		return nil
	}
	b.mapLost = !b.mapSeen.Complete
	mapindex.Entries(b.mapSeen.State, func(uid mapindex.UID, e mapindex.Entry, err error) bool {
		if err == nil {
			b.entries[uid] = e
		}
		return true
	})
	b.highest = dbox.FileID(mapindex.HeaderOf(b.mapSeen.State).HighestFileID)
	return nil
}

// readMailboxes reads what there is of all mailboxes. None can be renamed meanwhile, and so be missed: TREE is held.
func (b *builder) readMailboxes() error {
	list, _, err := b.s.Mailboxes()
	if err != nil {
		return err
	}
	if b.leftOut, err = b.s.LeavesOut(); err != nil {
		return err
	}
	for _, info := range list {
		if info.NoSelect || info.NonExistent {
			continue
		}
		if err := b.ctx.Err(); err != nil {
			return err
		}
		if err := b.readMailbox(info.Name); err != nil && !errors.Is(err, mdbox.ErrNotFound) {
			return err
		}
	}
	return nil
}

func (b *builder) readMailbox(name string) error {
	box := &oldBox{name: name}
	var err error
	if box.o, err = b.s.MailboxOptions(name); err != nil {
		return err
	}
	if box.seen, err = index.Salvage(box.o); err != nil {
		return err
	}
	if s := box.seen.State; s == nil || s.UIDValidity() == 0 {
		if box.lost = b.known[name].UIDValidity != 0 || box.seen.Damaged(); !box.lost && s == nil {
			return nil // it is just being made
		}
		if box.lost {
			box.seen.Complete = false
		}
	} else if s.Deleted() {
		return nil
	}
	if s := box.seen.State; s != nil {
		for _, r := range referencesOf(s) {
			box.refs = append(box.refs, &oldRef{reference: r, box: box})
		}
	}
	b.boxes = append(b.boxes, box)
	return nil
}

// readFiles reads all mail files.
func (b *builder) readFiles() error {
	if err := b.listMailFiles(); err != nil {
		return err
	}
	byID := map[dbox.FileID]*oldFile{}
	var total, done int64
	for _, f := range b.files {
		if !f.rename {
			byID[f.id] = f
		}
		total += f.size
	}
	for _, e := range b.entries {
		if f := byID[dbox.FileID(e.FileID)]; f != nil {
			f.known[uint64(e.Offset)] = uint64(e.Size)
		}
	}
	b.byGUID, b.byPlace = map[dbox.GUID][]*mail{}, map[place]*mail{}
	for _, f := range b.files {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		if err := b.readFile(f); err != nil {
			return err
		}
		if done += f.size; b.o.Progress != nil {
			b.o.Progress(done, total)
		}
	}
	for uid, e := range b.entries {
		f := byID[dbox.FileID(e.FileID)]
		if m := b.byPlace[place{f, uint64(e.Offset)}]; f != nil && m != nil && (m.uid == 0 || uid < m.uid) {
			m.uid, m.inMap, m.refcount = uid, true, e.Refcount
		}
	}
	return nil
}

// maxMailFile bounds the size of a mail file that is repaired, since that is done in memory.
const maxMailFile = 4 << 30

func (b *builder) listMailFiles() error {
	v := &verifier{ctx: b.ctx, s: b.s, o: Options{FS: b.o.FS}, paths: b.paths, report: &Report{}}
	seen := map[dbox.FileID]bool{}
	for _, alt := range []bool{false, true} {
		v.paths.Storage, v.paths.AltStorage = b.paths.Storage, ""
		if alt {
			v.paths.Storage = b.paths.AltStorage
		}
		if v.paths.Storage == "" {
			continue
		}
		files, err := v.listFiles()
		if err != nil {
			return err
		}
		for _, f := range files {
			of := &oldFile{mailFile: f, alt: alt, known: map[uint64]uint64{}, rename: seen[f.id]}
			seen[f.id] = true
			b.files = append(b.files, of)
			b.highest = max(b.highest, f.id)
		}
	}
	return nil
}

// readFile finds the messages of a file.
func (b *builder) readFile(f *oldFile) error {
	content, found, err := b.salvageFile(f)
	if err != nil {
		return err
	}
	header, first, err := dbox.DecodeFileHeader(content)
	end := uint64(first)
	if err != nil || header.HeaderSize == 0 {
		f.dirty, end = "its header is damaged", 0
	}
	for n, m := range found {
		m.Check()
		if m.Offset != end && f.dirty == "" {
			f.dirty = fmt.Sprintf("not a message at offset %d", end)
		}
		end = m.End
		if m.Wrong != "" && f.dirty == "" {
			f.dirty = fmt.Sprintf("the message at offset %d is damaged", m.Offset)
		}
		x := &mail{file: f, n: n, off: m.Offset, size: m.End - m.Offset, guid: m.GUID(), wrong: m.Wrong}
		box, _ := m.Metadata.Get(dbox.KeyMailbox)
		x.mailbox = string(box)
		received, _ := m.Metadata.Get(dbox.KeyReceived)
		x.received, _ = strconv.ParseInt(string(received), 16, 64)
		f.mails = append(f.mails, x)
		b.mails = append(b.mails, x)
		b.byPlace[place{f, m.Offset}] = x
		if x.guid != (dbox.GUID{}) {
			b.byGUID[x.guid] = append(b.byGUID[x.guid], x)
		}
	}
	for off := range f.known {
		if off >= end && off < uint64(len(content)) && f.dirty == "" {
			f.dirty = fmt.Sprintf("not a message at offset %d", off)
		}
	}
	return nil
}

// salvageFile reads the messages of a file. Each time it finds the same.
func (b *builder) salvageFile(f *oldFile) ([]byte, []*dbox.Found, error) {
	content, err := vfs.ReadFile(b.o.FS, f.path, maxMailFile)
	if err != nil {
		return nil, nil, err
	}
	return content, dbox.Salvage(content, f.known), nil
}

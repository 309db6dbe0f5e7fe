package check

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/translog"
)

const inbox = "INBOX"

// chooseMailboxes finds the mailbox for each message that comes back to one: where it was saved at first, else INBOX.
func (b *builder) chooseMailboxes() error {
	byStorage := map[string]*oldBox{}
	for _, m := range b.mails {
		if !m.restore {
			continue
		}
		if m.restoredTo != "" {
			box := b.boxNamed(m.restoredTo)
			box.restore = append(box.restore, m)
			continue
		}
		box := byStorage[m.mailbox]
		if box == nil {
			var err error
			if box, err = b.boxFor(m.mailbox); err != nil {
				return err
			}
			byStorage[m.mailbox] = box
		}
		box.restore = append(box.restore, m)
	}
	return nil
}

// boxFor returns the mailbox with a storage name, which is made if there is none, or INBOX.
func (b *builder) boxFor(storage string) (*oldBox, error) {
	name, made, err := b.r.MailboxOf(b.ctx, storage)
	if err != nil || storage == "" {
		if name, made, err = b.r.MailboxOf(b.ctx, inbox); err != nil {
			return nil, err
		}
	}
	if made {
		b.made = true
		b.did(Repair{What: "the mailbox was made again", Mailbox: name})
	}
	if box := b.boxNamed(name); box != nil {
		return box, nil
	}
	box := &oldBox{name: name}
	if box.o, err = b.s.MailboxOptions(name); err != nil {
		return nil, err
	}
	if box.seen, err = index.Salvage(box.o); err != nil {
		return nil, err
	}
	b.boxes = append(b.boxes, box)
	return box, nil
}

func (b *builder) boxNamed(name string) *oldBox {
	for _, box := range b.boxes {
		if box.name == name {
			return box
		}
	}
	return nil
}

// repairMailboxes repairs one mailbox after the other.
func (b *builder) repairMailboxes() error {
	for _, box := range b.boxes {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		if err := b.repairMailbox(box); err != nil && !errors.Is(err, mdbox.ErrNotFound) && !errors.Is(err, index.ErrDeleted) {
			return fmt.Errorf("mailbox %s: %w", box.name, err)
		}
	}
	return nil
}

// needsRepair reports whether anything of a mailbox has to be changed.
func (b *builder) needsRepair(box *oldBox) bool {
	if box.seen.Damaged() || box.lost || len(box.restore) > 0 || box.seen.State == nil || b.torn[box.name] > 0 || b.behind(box, box.seen.State) {
		return true
	}
	for _, r := range box.refs {
		if r.fix || r.drop != "" || r.mail != nil && r.mail.wrong != "" {
			return true
		}
	}
	h := headerOf(box.seen.State)
	return h.MailboxGUID == [16]byte{} || h.MapUIDValidity != b.r.Map.State().UIDValidity()
}

// behind reports whether the list index knows of UIDs or modseqs that the mailbox does not.
func (b *builder) behind(box *oldBox, s *index.State) bool {
	known := b.known[box.name]
	return known.UIDValidity == s.UIDValidity() && known.UIDValidity != 0 &&
		(known.UIDNext > s.NextUID() || known.HighestModSeq > s.HighestModSeq())
}

// catchUp returns the records that take next_uid and the highest modseq past what was used in changes that are lost.
func (b *builder) catchUp(box *oldBox, s *index.State, path string) (records []translog.Payload) {
	next, modSeq := s.NextUID(), s.HighestModSeq()
	if n := b.torn[box.name]; n > 0 {
		next += uint32(n / 8)
		modSeq += uint64(n/12) + 1
		b.did(Repair{File: path + ".log", What: fmt.Sprintf("an unfinished write of %d bytes was cut off", n), Mailbox: box.name})
	}
	if b.behind(box, s) {
		known := b.known[box.name]
		next, modSeq = max(next, known.UIDNext), max(modSeq, known.HighestModSeq)
		b.did(Repair{File: path + ".log", What: "changes are missing that the list index knows of", Mailbox: box.name, Lost: true})
	}
	if next > s.NextUID() {
		records = append(records, index.NextUIDUpdate(next))
	}
	if modSeq > s.HighestModSeq() {
		records = append(records, translog.ModSeqUpdates{{ModSeq: modSeq}})
	}
	return records
}

func headerOf(s *index.State) index.MdboxHeader {
	if s == nil {
		return index.MdboxHeader{}
	}
	if e := s.Ext(index.ExtMdboxHeader); e != nil {
		if h, err := index.DecodeMdboxHeader(e.Header()); err == nil {
			return h
		}
	}
	return index.MdboxHeader{}
}

func (b *builder) repairMailbox(box *oldBox) (err error) {
	if !b.needsRepair(box) {
		return nil
	}
	hadLog := true
	if _, err := b.o.FS.Stat(box.o.Dir + "/" + index.DefaultPrefix + ".log"); err != nil {
		hadLog = false
	}
	l, err := b.s.LockMailbox(b.ctx, box.name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Unlock()) }()
	if hadLog { // flags may have been changed since it was read
		complete := box.seen.Complete
		if box.seen, err = index.Salvage(box.o); err != nil {
			return err
		}
		box.seen.Complete = box.seen.Complete && complete
	}
	path := box.o.Dir + "/" + index.DefaultPrefix
	if err := b.identify(box, l); err != nil {
		return err
	}
	if _, err := b.mend(l, box.seen, path, box.name); err != nil {
		return err
	}
	return b.editMailbox(box, l, path)
}

// identify gives a mailbox that has lost it a UIDVALIDITY: the one that it had, if it is known that no UID will be used again.
func (b *builder) identify(box *oldBox, l *index.Locked) error {
	s := box.seen.State
	if s == nil {
		s = l.State()
		box.seen.State = s
	}
	if !box.seen.Damaged() && !box.lost {
		return nil
	}
	known := b.known[box.name]
	if known.UIDValidity == s.UIDValidity() || s.UIDValidity() == 0 {
		s.RaiseModSeq(known.HighestModSeq)
	}
	if s.UIDValidity() != 0 {
		if known.UIDValidity == s.UIDValidity() {
			s.RaiseNextUID(known.UIDNext)
		}
		return nil
	}
	box.seen.Complete = false
	v := known.UIDValidity
	if v == 0 || known.UIDNext == 0 && s.Len() == 0 {
		var err error
		if v, err = b.r.NextUIDValidity(); err != nil {
			return err
		}
		b.did(Repair{File: box.o.Dir, What: "UIDVALIDITY was lost, so it is a new one and clients read the mailbox again", Mailbox: box.name, Lost: true})
	} else {
		s.RaiseNextUID(known.UIDNext + roomForUIDs)
	}
	s.SetUIDValidity(v)
	return nil
}

// roomForUIDs is how many messages may have come since the list index was last told.
const roomForUIDs = 1000

// editMailbox changes the messages of a mailbox.
func (b *builder) editMailbox(box *oldBox, l *index.Locked, path string) error {
	s := l.State()
	var records []translog.NewRecord
	add := func(p translog.Payload) { records = append(records, translog.NewRecord{External: true, Payload: p}) }
	h := headerOf(s)
	if h.MailboxGUID == [16]byte{} {
		if h.MailboxGUID = b.known[box.name].GUID; h.MailboxGUID == [16]byte{} {
			h.MailboxGUID = dbox.NewGUID()
		}
		b.did(Repair{File: path, What: "the mailbox got a GUID", Mailbox: box.name})
	}
	if v := b.r.Map.State().UIDValidity(); h.MapUIDValidity != v || h != headerOf(s) {
		h.MapUIDValidity = v
		add(translog.ExtIntros{l.Intro(index.ExtMdboxHeader, 24, 0, 0)})
		add(translog.ExtHdrUpdates{{Data: h.Append(nil)}})
	}
	for _, p := range b.catchUp(box, s, path) {
		add(p)
	}
	var gone translog.ExpungeGUIDs
	mails, guids := translog.NewExtRecUpdates(8), translog.NewExtRecUpdates(16)
	stale := translog.NewExtRecUpdates(4)
	for _, r := range box.refs {
		if _, found := s.Find(r.uid); !found {
			continue
		}
		if r.mail == nil {
			gone = append(gone, translog.ExpungeGUID{UID: r.uid, GUID: r.guid})
			lost := r.drop == "the message is in no mail file"
			if lost {
				b.out.LostMessages++
			}
			b.did(Repair{File: path, What: "the message was removed from the mailbox: " + r.drop, Mailbox: box.name, UID: r.uid, Lost: lost})
			continue
		}
		if r.fix {
			mails.Add(r.uid, index.MdboxRecord{MapUID: uint32(r.mail.uid), SaveDate: saveDate(s, r.uid)}.Append(nil))
			if r.guid != r.mail.guid && r.mail.guid != (dbox.GUID{}) {
				guids.Add(r.uid, r.mail.guid[:])
			}
			b.did(Repair{File: path, What: fmt.Sprintf("the message was found in %s", r.mail), Mailbox: box.name, UID: r.uid})
		}
		if r.mail.wrong != "" {
			stale.Add(r.uid, make([]byte, 4))
			b.did(Repair{File: r.mail.file.path, What: fmt.Sprintf("offset %d: the message: %s", r.mail.off, r.mail.wrong), Mailbox: box.name, UID: r.uid,
				Lost: strings.Contains(r.mail.wrong, "text") || strings.Contains(r.mail.wrong, "end")})
		}
	}
	next := s.NextUID()
	for _, r := range records {
		if u, ok := r.Payload.(translog.HeaderUpdates); ok && len(u[0].Data) == 4 {
			next = max(next, binary.LittleEndian.Uint32(u[0].Data))
		}
	}
	if len(box.restore) > 0 {
		var appends translog.Appends
		for i, m := range box.restore {
			uid := next + uint32(i)
			appends = append(appends, translog.AppendedMessage{UID: uid})
			mails.Add(uid, index.MdboxRecord{MapUID: uint32(m.uid), SaveDate: uint32(max(1, m.received))}.Append(nil))
			guids.Add(uid, m.guid[:])
			b.out.Restored++
			b.did(Repair{File: path, What: fmt.Sprintf("message %s, which was in no mailbox, was put back", m.guid), Mailbox: box.name, UID: uid})
		}
		add(appends)
	}
	if mails.Len() > 0 {
		add(translog.ExtIntros{l.Intro(index.ExtMdbox, 0, 8, 4)})
		add(mails)
	}
	if guids.Len() > 0 {
		add(translog.ExtIntros{l.Intro(index.ExtGUID, 0, 16, 1)})
		add(guids)
	}
	if stale.Len() > 0 {
		for _, ext := range []string{"cache", index.ExtVSize} {
			if s.Ext(ext) != nil {
				add(translog.ExtIntros{l.Intro(ext, 0, 4, 4)})
				add(stale)
			}
		}
		if s.Ext(index.ExtVSizeHeader) != nil {
			add(translog.ExtIntros{l.Intro(index.ExtVSizeHeader, 16, 0, 8)})
			add(translog.ExtHdrUpdates{{Data: make([]byte, 16)}})
		}
	}
	if day, ok := s.DayUpdate(time.Now(), next); ok && len(box.restore) > 0 {
		add(day)
	}
	if len(gone) > 0 {
		add(gone)
	}
	if s.UIDValidity() == 0 {
		v, err := b.r.NextUIDValidity()
		if err != nil {
			return err
		}
		records = append([]translog.NewRecord{{External: true, Payload: index.UIDValidityUpdate(v)}}, records...)
	}
	return l.Commit(true, records...)
}

func saveDate(s *index.State, uid uint32) uint32 {
	i, found := s.Find(uid)
	if e := s.Ext(index.ExtMdbox); found && e != nil && len(e.Record(i)) == 8 {
		return binary.LittleEndian.Uint32(e.Record(i)[4:])
	}
	return 0
}

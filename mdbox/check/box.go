package check

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mapindex"
	"github.com/roostmail/roost/mdbox/vfs"
)

// box is an open mailbox.
type box struct {
	name     string
	path     string // of dovecot.index
	cacheDir string
	x        *index.Index // nil: nothing of it can be read
}

// reference is what a mailbox knows of a message.
type reference struct {
	uid  uint32
	to   mapindex.UID
	guid dbox.GUID
}

// references returns the messages of the mailbox, ascending by UID.
func (b *box) references() []reference {
	if b.x == nil {
		return nil
	}
	return referencesOf(b.x.State())
}

func referencesOf(s *index.State) []reference {
	mails, guids := s.Ext(index.ExtMdbox), s.Ext(index.ExtGUID)
	refs := make([]reference, s.Len())
	for i, uid := range s.UIDs() {
		refs[i].uid = uid
		if mails != nil {
			if m, err := index.DecodeMdboxRecord(mails.Record(i)); err == nil {
				refs[i].to = mapindex.UID(m.MapUID)
			}
		}
		if guids != nil {
			refs[i].guid, _ = index.DecodeGUID(guids.Record(i))
		}
	}
	return refs
}

// openMailboxes reads the indexes of all mailboxes. One that is renamed meanwhile could be missed, or be met twice: so they are read again
// unless the tree is the same afterwards, and none has gone.
func (v *verifier) openMailboxes() error {
	report := v.report
	defer func() { v.report = report }()
	steady := false
	for try := 0; !steady && try < attempts; try++ {
		v.report, v.boxes, v.moved = &Report{}, nil, false
		err := v.openEach()
		if err == nil {
			steady, err = v.steadyTree()
		}
		if err != nil {
			return err
		}
	}
	report.append(v.report)
	if !steady {
		report.add(Finding{Kind: Unverified, File: v.s.Location().Root, Offset: -1, Rule: "mailboxes: they are renamed all the time"})
	}
	report.Mailboxes = len(v.boxes)
	return nil
}

// reopenMailboxes opens the mailboxes that there are now. What is wrong with them was reported.
func (v *verifier) reopenMailboxes() error {
	report := v.report
	defer func() { v.report = report }()
	v.report = &Report{}
	return v.openMailboxes()
}

// noteOdd is called for what shows that mailboxes were renamed, unless it is found again and again: a name without a mailbox (other is ""), or
// another one with the same GUID, since somebody has copied a directory.
func (v *verifier) noteOdd(name, other string) {
	if odd := [2]string{name, other}; !v.odd[odd] {
		v.odd[odd], v.moved = true, true
	}
}

// list returns the mailboxes that can be selected. damage says which names are none.
func (v *verifier) list() (names, damage []string, err error) {
	list, damage, err := v.s.Mailboxes()
	for _, info := range list {
		if !info.NoSelect && !info.NonExistent {
			names = append(names, info.Name)
		}
	}
	return names, damage, err
}

// steadyTree reports whether the mailboxes are still those that were opened, and none of these has gone or was met twice.
func (v *verifier) steadyTree() (bool, error) {
	byGUID := map[[16]byte]string{}
	for _, b := range v.boxes {
		if b.x == nil {
			continue
		}
		guid := headerOf(b.x.State()).MailboxGUID
		if other, twice := byGUID[guid]; twice && guid != [16]byte{} {
			v.noteOdd(b.name, other)
		}
		byGUID[guid] = b.name
	}
	if v.moved {
		return false, nil
	}
	names, _, err := v.list()
	if isDamage(err) {
		err = nil
	}
	return slices.Equal(names, v.names), err
}

// openEach opens each mailbox.
func (v *verifier) openEach() (err error) {
	var damage []string
	v.names, damage, err = v.list()
	if isDamage(err) {
		v.report.damage(err, v.paths.ListIndex, "", 0)
		return nil
	}
	if err != nil {
		return err
	}
	for _, d := range damage {
		v.report.add(Finding{File: v.paths.ListIndex, Offset: -1, Rule: d})
	}
	for _, name := range v.names {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		if err := v.openMailbox(name); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) openMailbox(name string) error {
	dir, cacheDir, err := v.s.MailboxPaths(name)
	if errors.Is(err, mdbox.ErrNotFound) {
		v.noteOdd(name, "")
		return nil
	}
	if err != nil {
		return err
	}
	b := &box{name: name, path: dir + "/" + index.DefaultPrefix, cacheDir: cacheDir}
	x, err := index.Open(index.Options{FS: v.o.FS, Dir: dir})
	switch {
	case errors.Is(err, fs.ErrNotExist) && v.remembered(b):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		v.report.add(Finding{Kind: Leftover, File: b.path, Offset: -1, Rule: "the mailbox is not initialised yet", Mailbox: name})
		return nil
	case isDamage(err):
		v.report.damage(err, b.path, name, 0)
	case err != nil:
		return err
	case x.State().Deleted():
		v.report.add(Finding{Kind: Leftover, File: b.path, Offset: -1, Rule: "the mailbox is being deleted", Mailbox: name})
		return nil
	case x.State().UIDValidity() == 0 && v.remembered(b):
		return nil
	case x.State().UIDValidity() == 0:
		v.unread(x, name)
		v.report.add(Finding{Kind: Leftover, File: b.path, Offset: -1, Rule: "the mailbox is not initialised yet", Mailbox: name})
		return nil
	default:
		b.x = x
		v.indexDamage(x, name)
		v.header(b)
	}
	v.boxes = append(v.boxes, b)
	return nil
}

// remembered reports a mailbox whose index has lost what the list index still knows of it.
func (v *verifier) remembered(b *box) bool {
	known := v.known[b.name].UIDValidity
	if known != 0 {
		v.report.damage(fmt.Errorf("the index is empty, the mailbox had UIDVALIDITY %d", known), b.path, b.name, 0)
	}
	return known != 0
}

// header checks that the mailbox belongs to the map.
func (v *verifier) header(b *box) {
	if v.s.Location().Format == mdbox.FormatSdbox {
		v.singleHeader(b)
		return
	}
	e := b.x.State().Ext(index.ExtMdboxHeader)
	if e == nil {
		v.report.damage(vfs.Corrupt(0, "the extension %s is there", index.ExtMdboxHeader), b.path, b.name, 0)
		return
	}
	h, err := index.DecodeMdboxHeader(e.Header())
	switch {
	case err != nil:
		v.report.damage(err, b.path, b.name, 0)
	case h.MailboxGUID == [16]byte{}:
		v.report.damage(vfs.Corrupt(0, "the mailbox has a GUID"), b.path, b.name, 0)
	case v.m != nil && h.MapUIDValidity != v.m.UIDValidity():
		v.report.damage(fmt.Errorf("the mailbox belongs to a map with UIDVALIDITY %d, the map has %d", h.MapUIDValidity, v.m.UIDValidity()), b.path, b.name, 0)
	}
}

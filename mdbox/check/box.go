package check

import (
	"errors"
	"fmt"
	"io/fs"

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

// openMailboxes reads the indexes of all mailboxes.
func (v *verifier) openMailboxes() error {
	list, damage, err := v.s.Mailboxes()
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
	for _, info := range list {
		if info.NoSelect || info.NonExistent {
			continue
		}
		if err := v.ctx.Err(); err != nil {
			return err
		}
		if err := v.openMailbox(info.Name); err != nil {
			return err
		}
	}
	v.report.Mailboxes = len(v.boxes)
	return nil
}

func (v *verifier) openMailbox(name string) error {
	dir, cacheDir, err := v.s.MailboxPaths(name)
	if errors.Is(err, mdbox.ErrNotFound) {
		return nil // deleted meanwhile
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

package mdbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/maildir"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// sdbox is FormatSdbox: the message with a UID is the file u.<UID>, beside the index of its mailbox or in the same place below ALT. The
// index knows no more of it; its GUID is in the file.
type sdbox struct{}

// sdboxPrefix starts the name of a mail file.
const sdboxPrefix = "u."

func (sdbox) mailboxGUID(_ *Mailbox, s *index.State) ([16]byte, error) {
	e := s.Ext(index.ExtSdboxHeader)
	if e == nil {
		return [16]byte{}, nil
	}
	h, err := index.DecodeSdboxHeader(e.Header())
	return h.MailboxGUID, err
}

func (sdbox) refresh(*Mailbox) error { return nil }

func (sdbox) lock(context.Context, *Mailbox) (*maildir.Locked, error) { return nil, nil }

// firstHeader refuses a mailbox that has messages: its index was lost, and a new one would hide them. Dovecot makes it again from them.
func (sdbox) firstHeader(_ context.Context, s *Store, dir string, n *newMailbox) (ext string, header func() ([]byte, error), err error) {
	return index.ExtSdboxHeader, func() ([]byte, error) {
		return index.SdboxHeader{MailboxGUID: n.guid}.Append(nil), s.noMailFiles(s.location.mailboxDir(dir))
	}, nil
}

// noMailFiles returns an error if there is a message in a directory.
func (s *Store) noMailFiles(dir string) error {
	entries, err := s.options.FS.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		id, ok := strings.CutPrefix(e.Name(), sdboxPrefix)
		if _, err := strconv.ParseUint(id, 10, 32); ok && err == nil {
			return vfs.At(vfs.Corrupt(0, "a mailbox without index has no messages, but there is %s", e.Name()), dir, 0)
		}
	}
	return nil
}

// files returns the mail files of a mailbox. One stays open at most, until a walk over messages ends.
func (sdbox) files(b *Mailbox) *dbox.Files {
	s := b.store
	c := s.filesConfig()
	c.StorageDir, c.AltDir, c.Prefix, c.MaxOpenFiles = s.location.mailboxDir(b.dir), s.location.altMailboxDir(b.dir), sdboxPrefix, 1
	c.DirMustExist = true
	c.AttachmentSuffix = func(id dbox.FileID) string {
		b.mu.Lock()
		defer b.mu.Unlock()
		guid := b.guid(b.index.State())
		return fmt.Sprintf("-%x-%d", guid[:], id)
	}
	if s.options.Write != nil {
		c.Perms = func() (vfs.Perm, fs.FileMode, error) {
			p, err := s.permissions(b.dir)
			return p.File, p.Dir, err
		}
	}
	return dbox.NewFiles(c)
}

// open opens u.<UID>. The directory may be that of another mailbox by now: the index, which moves with the files, tells.
func (f sdbox) open(m *Message) (*dbox.Message, error) {
	b := m.ms.b
	body, err := b.files.Open(dbox.Ref{File: dbox.FileID(m.rec.uid)})
	if err != nil {
		if b.still(m.ms.guid) != nil {
			return nil, fmt.Errorf("%w: UID %d of %s, which is another mailbox now, or none", ErrExpunged, m.rec.uid, b.name)
		}
		return nil, m.failed(err)
	}
	if err := b.still(m.ms.guid); err != nil {
		body.Close()
		return nil, err
	}
	return body, nil
}

// still returns an error, which is ErrNotFound, if the mailbox's name is that of another one, or of none.
func (b *Mailbox) still(guid [16]byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := b.refresh()
	if err == nil && b.guid(s) != guid {
		err = fmt.Errorf("%w: %s is another mailbox now", ErrNotFound, b.name)
	}
	return err
}

// records returns nothing: the index has no extension for messages.
func (sdbox) records(*lockedBox, uint32, []newRecord, uint32) []translog.NewRecord { return nil }

// change needs no lock but that of the mailbox. The files of messages that were expunged are removed after it is given back, as long as their
// names are those of the mailbox: if it was renamed meanwhile, they stay. Those of a mailbox that is being deleted go with its directory, but not
// their attachments.
func (sdbox) change(_ context.Context, s *Store, do func(c change) error) error {
	var c unlinks
	err := do(&c)
	for _, e := range c.expunged {
		if e.deletes && err == nil && s.options.AttachmentDir == "" {
			continue
		}
		for _, uid := range e.uids {
			if !e.deletes && e.box.still(e.guid) != nil {
				break
			}
			s.report("remove an expunged message", e.box.files.Remove(dbox.FileID(uid)))
		}
	}
	return err
}

// unlinks are the messages that a change has expunged.
type unlinks struct {
	expunged []expunged
}

type expunged struct {
	box     *Mailbox
	guid    [16]byte
	uids    []uint32
	deletes bool // see lockedBox
}

// check refuses a mailbox of an mdbox store: with another mail_location than Dovecot's its messages are not where this format has them, and new
// ones would be where Dovecot does not look for them.
func (*unlinks) check(l *lockedBox) error {
	if s := l.x.State(); s.Ext(index.ExtSdboxHeader) == nil && s.Ext(index.ExtMdboxHeader) != nil {
		return l.corrupt("mail_location says sdbox, but the mailbox is one of an mdbox store")
	}
	return nil
}

func (c *unlinks) expunge(l *lockedBox, uids []uint32) error {
	var gone translog.ExpungeGUIDs
	e := expunged{box: l.b, guid: l.b.guid(l.x.State()), deletes: l.deletes}
	for _, uid := range uids {
		if _, found := l.x.State().Find(uid); found {
			gone = append(gone, translog.ExpungeGUID{UID: uid})
			e.uids = append(e.uids, uid)
		}
	}
	err := l.removeRecords(gone)
	if err == nil {
		c.expunged = append(c.expunged, e)
	}
	return err
}

// leave implements change.
func (c *unlinks) leave(l *lockedBox, uid uint32) leaving {
	gone := translog.ExpungeGUIDs{{UID: uid}}
	e := expunged{box: l.b, guid: l.b.guid(l.x.State()), uids: []uint32{uid}}
	return leaving{record: external(gone), gone: gone, done: func(*lockedBox) error {
		c.expunged = append(c.expunged, e)
		return nil
	}}
}

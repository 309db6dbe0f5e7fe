package check

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/vfs"
)

// ErrFormat says that stores of a format are not rebuilt here.
var ErrFormat = errors.New("only stores in the format mdbox are rebuilt by roost; Dovecot repairs the others (doveadm force-resync)")

// singleSteps verify a store in the format sdbox.
func (v *verifier) singleSteps() []func() error {
	return []func() error{v.openMailboxes, v.mailboxes, v.singles, v.control}
}

// singleHeader checks the header of an sdbox mailbox.
func (v *verifier) singleHeader(b *box) {
	e := b.x.State().Ext(index.ExtSdboxHeader)
	if e == nil {
		v.report.damage(vfs.Corrupt(0, "the extension %s is there", index.ExtSdboxHeader), b.path, b.name, 0)
		return
	}
	h, err := index.DecodeSdboxHeader(e.Header())
	if err == nil && h.MailboxGUID == [16]byte{} {
		err = vfs.Corrupt(0, "the mailbox has a GUID")
	}
	if err != nil {
		v.report.damage(err, b.path, b.name, 0)
	}
}

// singles counts files u.<UID>, and looks for those that are none of their mailbox's messages: a process ended while it saved or expunged. (That each message
// has its file was found out by reading it.)
func (v *verifier) singles() error {
	for _, b := range v.boxes {
		if b.x == nil {
			continue
		}
		dirs, err := v.s.MailDirs(b.name)
		if err != nil {
			continue // deleted meanwhile
		}
		for _, dir := range dirs {
			if err := v.singlesIn(b, dir); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *verifier) singlesIn(b *box, dir string) error {
	entries, err := v.o.FS.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := b.x.Refresh(); err != nil {
		return nil // it was read before: somebody deletes it
	}
	s := b.x.State()
	for _, e := range entries {
		id, ok := strings.CutPrefix(e.Name(), "u.")
		uid, err := strconv.ParseUint(id, 10, 32)
		if !ok || err != nil {
			continue
		}
		if _, there := s.Find(uint32(uid)); !there {
			v.report.add(Finding{Kind: Leftover, File: dir + "/" + e.Name(), Offset: -1,
				Rule: "a message that was expunged, or not saved to its end", Mailbox: b.name, UID: uint32(uid)})
			continue
		}
		v.report.Files++
		v.report.Messages++
		if st, err := e.Info(); err == nil { // else it was expunged meanwhile
			v.report.Bytes += st.Size()
		}
	}
	return nil
}

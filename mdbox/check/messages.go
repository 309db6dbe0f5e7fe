package check

import (
	"errors"
	"fmt"
	"io"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/cache"
)

// mailboxes reads the messages of all mailboxes as a client would.
func (v *verifier) mailboxes() error {
	for _, b := range v.boxes {
		if b.x == nil {
			continue
		}
		if err := v.messages(b); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) messages(b *box) error {
	m, err := v.s.OpenMailbox(b.name)
	if errors.Is(err, mdbox.ErrNotFound) || errors.Is(err, mdbox.ErrNotInitialised) || isDamage(err) {
		return nil // deleted meanwhile, or reported already
	}
	if err != nil {
		return err
	}
	ms, err := m.Messages(b.x.State().UIDs())
	if err != nil {
		return nil
	}
	defer ms.Close()
	for ms.Next() {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		if err := v.message(b, ms.Message()); err != nil && !errors.Is(err, mdbox.ErrExpunged) {
			if _, gone := b.x.Refresh(); gone != nil {
				return nil // deleted or renamed meanwhile
			}
			v.report.damage(err, b.path, b.name, ms.Message().UID())
		}
	}
	return v.cache(b)
}

// message reads a message, and compares what is noted of its size with what it has.
func (v *verifier) message(b *box, m *mdbox.Message) error {
	size, err := m.Size()
	if err != nil {
		return err
	}
	if v.o.Shallow {
		r, err := m.NewReader(0, 0)
		if err != nil {
			return err
		}
		defer r.Close()
		if r.Len() != size {
			return fmt.Errorf("size %d is cached, the message has %d", size, r.Len())
		}
		return nil
	}
	r, err := m.NewText()
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	for _, w := range m.WrongSizes() {
		v.report.add(Finding{Kind: Damage, File: w.File, Offset: -1, Rule: w.Rule(), Mailbox: b.name, UID: m.UID(), size: w.Index})
	}
	return nil
}

// cache reads the cached values of all messages of a mailbox.
func (v *verifier) cache(b *box) error {
	s := b.x.State()
	e := s.Ext("cache")
	if e == nil || e.ResetID == 0 {
		return nil
	}
	path := b.cacheDir + "/dovecot.index.cache"
	files := cache.NewFiles(cache.Config{FS: v.o.FS})
	defer files.Close()
	f, err := files.Open(path, s.Header().IndexID(), e.ResetID)
	if err != nil {
		if isDamage(err) {
			v.report.damage(err, path, b.name, 0)
		}
		return nil // there is none, or it is replaced just now
	}
	defer f.Close()
	r := f.NewReader()
	st, err := v.o.FS.Stat(path)
	if err != nil {
		return nil
	}
	for i, uid := range s.UIDs() {
		off := le32(e.Record(i))
		if off == 0 {
			continue
		}
		if int64(off) >= st.Size {
			// Nothing of a cache is synced. Whoever writes to it next begins a new one.
			v.report.add(Finding{Kind: Leftover, File: path, Offset: int64(off), Rule: "the file ends before this record", Mailbox: b.name, UID: uid})
			continue
		}
		if err := r.Load(off); err != nil {
			v.report.damage(err, path, b.name, uid)
		}
	}
	return nil
}

func le32(b []byte) uint32 {
	if len(b) != 4 {
		return 0
	}
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

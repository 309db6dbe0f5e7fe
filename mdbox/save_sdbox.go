package mdbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"

	"github.com/roostmail/roost/mdbox/dbox"
)

func (sdbox) newSaver(_ context.Context, b *Mailbox) saver {
	return &sdboxSaver{b: b, durable: b.store.durable()}
}

// sdboxSaver writes messages under temporary names, and gives them those of their UIDs while the mailbox is locked (dovecot sdbox-save.c).
type sdboxSaver struct {
	b       *Mailbox
	durable bool
	files   []*dbox.Single
}

func (a *sdboxSaver) save(m dbox.NewMessage, body io.Reader) (dbox.Stored, error) {
	m.Mailbox = ""
	f, err := a.b.files.SaveSingle(m, body, a.durable)
	if err != nil {
		return dbox.Stored{}, a.moved(err)
	}
	a.files = append(a.files, f)
	return f.Stored, nil
}

// sync has nothing to do: each message was made durable when it was written.
func (a *sdboxSaver) sync() error { return nil }

// place names the files. Their names are durable before the mailbox has the messages.
func (a *sdboxSaver) place(_ change, l *lockedBox, _ []newRecord) (first uint32, err error) {
	first, err = a.freeUIDs(l.x.State().NextUID())
	for i := 0; i < len(a.files) && err == nil; i++ {
		err = a.files[i].Name(dbox.FileID(first) + dbox.FileID(i))
	}
	if err == nil && a.durable {
		err = a.b.files.SyncDir()
	}
	if err != nil {
		return 0, errors.Join(a.moved(err), a.abort()) // now, while nobody else can want the names
	}
	return first, nil
}

// moved makes an error about a missing file one about the mailbox: somebody has deleted or renamed it.
func (a *sdboxSaver) moved(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s: %v", ErrNotFound, a.b.name, err)
	}
	return err
}

// freeUIDs returns the first UID from next on after which there are no files. One that is there was left by a process that ended before
// the mailbox had its message. Nobody was told that it was saved; still it is not overwritten: a repair may bring it to light.
func (a *sdboxSaver) freeUIDs(next uint32) (uint32, error) {
	for i := 0; i < len(a.files); i++ {
		uid := uint64(next) + uint64(i)
		if uid >= math.MaxUint32 {
			return 0, fmt.Errorf("mdbox: UIDs of %s are used up at %d", a.b.name, next)
		}
		taken, err := a.b.files.Exists(dbox.FileID(uid))
		if err != nil {
			return 0, err
		}
		if taken {
			next, i = uint32(uid)+1, -1
		}
	}
	return next, nil
}

// takeBack removes the files, unless the log has the messages although it could not be synced.
func (a *sdboxSaver) takeBack(_ change, l *lockedBox, _ []newRecord, first uint32) {
	if _, there := l.x.State().Find(first); !there {
		a.b.store.report("remove what was not saved", a.abort())
	}
	a.files = nil
}

func (a *sdboxSaver) release() error {
	a.files = nil
	return nil
}

func (a *sdboxSaver) abort() (err error) {
	for _, f := range a.files {
		err = errors.Join(err, f.Abort())
	}
	a.files = nil
	return err
}

// copyWithin makes new names for the files of the messages, then adds the copies, then, for a move, expunges the originals.
func (f sdbox) copyWithin(ctx context.Context, b *Mailbox, r CopyRequest) (*Copied, error) {
	uids, messages, err := b.sources(r, nil)
	if err != nil {
		return nil, err
	}
	guid := r.Mailbox
	if guid == [16]byte{} && len(messages) > 0 {
		guid = messages[0].source.guid
	}
	defer b.files.CloseIdle()
	a := &sdboxSaver{b: r.To, durable: b.store.durable()}
	copied := &Copied{}
	var kept []newRecord
	for i, uid := range uids {
		err := a.link(b, dbox.FileID(uid), &messages[i])
		if errors.Is(err, fs.ErrNotExist) {
			there, mailboxErr := b.has(guid, uid)
			if mailboxErr == nil && !there {
				continue // expunged meanwhile
			}
			err = cmp.Or(mailboxErr, destinationGone(r.To), err)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("mdbox: copy from %s, UID %d: %w", b.name, uid, err), a.abort())
		}
		copied.Source, kept = append(copied.Source, uid), append(kept, messages[i])
	}
	if err := b.still(guid); err != nil { // else what was copied may be another mailbox's
		return nil, errors.Join(err, a.abort())
	}
	var saved *Saved
	err = f.change(ctx, b.store, func(c change) error {
		saved, err = r.To.receive(ctx, c, a, kept)
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mdbox: copy to %s: %w: %w", r.To.name, ErrDestination, err), a.abort())
	}
	copied.UIDValidity, copied.UIDs = saved.UIDValidity, saved.UIDs
	if r.Move {
		_, err = b.Expunge(ctx, r.Mailbox, copied.Source, false)
	}
	return copied, err
}

// has reports whether the mailbox, which must have the GUID still, has a message.
func (b *Mailbox) has(guid [16]byte, uid uint32) (bool, error) {
	if err := b.still(guid); err != nil {
		return false, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	_, there := b.index.State().Find(uid)
	return there, nil
}

// destinationGone returns an error if the directory of a mailbox is not there, nil if it is.
func destinationGone(b *Mailbox) error {
	if _, err := b.store.options.FS.Stat(b.store.location.mailboxDir(b.dir)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w: %s", ErrDestination, ErrNotFound, b.name)
	}
	return nil
}

// link makes a copy of a message's file, by another name for it, or by reading and writing where that is not possible.
func (a *sdboxSaver) link(src *Mailbox, id dbox.FileID, m *newRecord) error {
	f, err := a.b.files.LinkSingle(src.files, id)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !isDamage(err) {
		f, err = a.rewrite(src, id)
	}
	if err != nil {
		return err
	}
	a.files = append(a.files, f)
	m.stored, m.guid, m.size, m.sized = f.Stored, f.GUID, f.Virtual, true
	return nil
}

// rewrite saves the text of a message again, as the same message.
func (a *sdboxSaver) rewrite(src *Mailbox, id dbox.FileID) (*dbox.Single, error) {
	m, err := src.files.Open(dbox.Ref{File: id})
	if err != nil {
		return nil, err
	}
	defer m.Close()
	n := dbox.NewMessage{RawGUID: string(m.GUID()), SizeHint: m.PhysicalSize()}
	if n.Received, err = m.Received(); err != nil {
		return nil, err
	}
	text, err := m.NewText()
	if err != nil {
		return nil, err
	}
	defer text.Close()
	return a.b.files.SaveSingle(n, text, a.durable)
}

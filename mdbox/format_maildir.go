package mdbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/maildir"
	"github.com/roostmail/roost/mdbox/translog"
)

// maildirFormat is FormatMaildir: a message is a file, whose name has its flags. Files come and go without the index, which is brought in
// line with them before it is read or changed. So BOX is taken after the lock of the mailbox, dovecot-uidlist.lock.
type maildirFormat struct{}

// maildirConfig returns how the mailboxes of the store are read and written.
func (s *Store) maildirConfig() *maildir.Config {
	c := &maildir.Config{FS: s.options.FS, Lock: s.locks, Report: s.options.Report, Now: s.now, MaxMessageSize: s.options.MaxMessageSize}
	if w := s.options.Write; w != nil {
		c.Fsync, c.SaveCRLF, c.NewUIDValidity = w.Fsync, w.SaveCRLF, s.newUIDValidity
		c.Places = s.controlDirs
	}
	return c
}

// newUIDValidity takes a UIDVALIDITY for a mailbox.
func (s *Store) newUIDValidity() (uint32, error) {
	p, err := s.permissions("")
	if err != nil {
		return 0, err
	}
	if err := s.makeDirs(s.location.Control); err != nil {
		return 0, err
	}
	return mailboxlist.NextUIDValidity(s.options.FS, s.location.Control, p.File, uint32(s.now().Unix()))
}

// openMaildir returns the directories of a mailbox.
func (b *Mailbox) openMaildir() *maildir.Mailbox {
	s := b.store
	p, err := s.permissions(b.dir)
	if err != nil {
		p = mailboxlist.DefaultPermissions
	}
	return maildir.New(s.maildirConfig(), maildir.Dirs{Mail: s.location.mailboxDir(b.dir), Control: s.location.controlDir(b.dir)}, p.File)
}

// mailboxGUID returns that of dovecot-uidlist.
func (maildirFormat) mailboxGUID(b *Mailbox, _ *index.State) ([16]byte, error) {
	return b.maildir.GUID()
}

// refreshTimeout is how long who only reads waits for the lock of a mailbox before it is shown as it was.
const refreshTimeout = 10 * time.Second

// refresh syncs the mailbox if there is something to do, and it may be changed.
func (f maildirFormat) refresh(b *Mailbox) error {
	if b.store.options.Write == nil {
		return nil
	}
	if _, err := b.index.Refresh(); err != nil {
		return nil // the caller finds it again
	}
	fresh, err := b.maildir.Fresh(b.index.State())
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s: %w", ErrNotFound, b.name, err)
	}
	if fresh || err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), refreshTimeout)
	defer cancel()
	err = f.sync(ctx, b, maildir.SyncOptions{})
	switch {
	case errors.Is(err, index.ErrDeleted):
		return fmt.Errorf("%w: %s: %w", ErrNotFound, b.name, err)
	case errors.Is(err, filelock.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		b.store.options.Report(fmt.Errorf("mdbox: mailbox %s is shown as it was: %w", b.name, err))
		return nil
	}
	return err
}

// sync brings the index and the files of a mailbox in line. b.mu is held.
func (maildirFormat) sync(ctx context.Context, b *Mailbox, o maildir.SyncOptions) error {
	w, err := b.writing()
	if err != nil {
		return err
	}
	l, err := b.maildir.Lock(ctx)
	if err != nil {
		return err
	}
	x, err := b.index.Lock(ctx, w)
	if err == nil {
		if _, err = l.Sync(x, o); err == nil {
			err = x.Maintain()
		}
		err = errors.Join(err, x.Unlock())
	}
	b.store.report("unlock mailbox "+b.name, l.Unlock())
	return err
}

func (maildirFormat) firstHeader(context.Context, *Store, string, *newMailbox) (string, func() ([]byte, error), error) {
	return "", nil, errors.New("mdbox: a maildir has no header of its own") // see initialiseMaildir
}

// initialiseMaildir makes the index of a mailbox from its files. Its UIDVALIDITY and GUID are those of dovecot-uidlist, which is made
// if there is none.
func (s *Store) initialiseMaildir(ctx context.Context, dir string, n newMailbox) (b initialised, err error) {
	w, err := s.mailboxWriting(dir)
	if err != nil {
		return b, err
	}
	first := func() ([]translog.NewRecord, error) {
		return []translog.NewRecord{done(index.Log2RotateTimeUpdate(noLog2))}, nil
	}
	x, l, err := index.CreateAfter(ctx, s.indexOptions(dir), w, s.former.take(dir), first)
	if err != nil {
		return b, fmt.Errorf("mdbox: create index of mailbox %s: %w", n.name, err)
	}
	b.found = l.State().UIDValidity() != 0
	if err := l.Unlock(); err != nil {
		return b, err
	}
	box := s.newMailbox(n.name, dir, x)
	if !b.found {
		if err := (maildirFormat{}).sync(ctx, box, maildir.SyncOptions{}); err != nil {
			return b, fmt.Errorf("mdbox: initialise mailbox %s: %w", n.name, err)
		}
	}
	b.uidValidity = x.State().UIDValidity()
	b.guid = box.guid(x.State())
	return b, nil
}

// maildirSubdirs are the directories of a mailbox. With the last one INBOX exists.
var maildirSubdirs = []string{"tmp", "new", "cur"}

// makeMaildir makes what a mailbox has in its directory.
func (s *Store) makeMaildir(dir string, p mailboxlist.Permissions) error {
	fsys, box := s.options.FS, s.location.mailboxDir(dir)
	if control := s.location.controlDir(dir); control != box {
		made, err := p.Mkdir(fsys, control)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("mdbox: make control directory: %w", err)
		}
		if err := s.syncDirs(control, made); err != nil {
			return err
		}
	}
	for _, sub := range maildirSubdirs {
		if _, err := p.Mkdir(fsys, filepath.Join(box, sub)); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("mdbox: make mailbox directory: %w", err)
		}
	}
	if dir != "" {
		f, err := p.File.Create(fsys, filepath.Join(box, maildir.Marker), 0)
		if err == nil {
			err = f.Close()
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("mdbox: make mailbox directory: %w", err)
		}
	}
	if !s.durable() {
		return nil
	}
	return fsys.SyncDir(box)
}

func (maildirFormat) files(b *Mailbox) *dbox.Files { return b.store.files }

// open opens the file of a message.
func (f maildirFormat) open(m *Message) (*dbox.Message, error) {
	b := m.ms.b
	file, e, err := b.maildir.Open(m.rec.uid)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, f.missing(m, err)
	}
	if err != nil {
		return nil, fmt.Errorf("mdbox: open message %d of %s: %w", m.rec.uid, b.name, err)
	}
	st, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, err
	}
	p := dbox.Plain{Received: st.Mtime / int64(time.Second), GUID: e.GUID()}
	physical, virtual := maildir.Sizes(e.Base)
	p.Physical, p.Virtual = uint64(max(physical, 0)), uint64(max(virtual, 0))
	p.Unsure = physical != st.Size
	m.named = p.Physical
	body, err := b.files.OpenPlain(file, p)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	s, err := b.refresh()
	if err == nil && b.guid(s) != m.ms.guid {
		err = fmt.Errorf("%w: %s is another mailbox now", ErrNotFound, b.name)
	}
	b.mu.Unlock()
	if err != nil {
		body.Close()
		return nil, err
	}
	return body, nil
}

// missing returns what it means that a message has no file: some program has removed it, or renamed or removed the mailbox.
func (f maildirFormat) missing(m *Message, err error) error {
	b := m.ms.b
	if b.store.options.Write == nil {
		return fmt.Errorf("%w: UID %d of %s: %w", ErrExpunged, m.rec.uid, b.name, err)
	}
	b.mu.Lock()
	syncErr := f.sync(context.Background(), b, maildir.SyncOptions{Force: true})
	_, there := b.index.State().Find(m.rec.uid)
	b.mu.Unlock()
	if errors.Is(syncErr, index.ErrDeleted) {
		return fmt.Errorf("%w: UID %d of %s, which is another mailbox now, or none", ErrExpunged, m.rec.uid, b.name)
	}
	if there {
		return errors.Join(fmt.Errorf("mdbox: message %d of %s: %w", m.rec.uid, b.name, err), syncErr)
	}
	return fmt.Errorf("%w: UID %d of %s", ErrExpunged, m.rec.uid, b.name)
}

// lock takes the lock of the mailbox, before BOX. b.mu is held.
func (maildirFormat) lock(ctx context.Context, b *Mailbox) (*maildir.Locked, error) {
	return b.maildir.Lock(ctx)
}

// syncLocked brings the mailbox in line, which carries out what clients have asked for.
func (l *lockedBox) syncLocked() error {
	_, err := l.outer.Sync(l.x, maildir.SyncOptions{Records: func(expunged, appended []index.SizedMessage) []translog.NewRecord {
		if l.sum == nil {
			return nil
		}
		h, changed := l.x.State().VSizeAfter(expunged, appended)
		if !changed {
			return nil
		}
		return l.x.VSizeUpdate(h)
	}})
	return err
}

// change needs no lock but that of the mailbox.
func (maildirFormat) change(_ context.Context, _ *Store, do func(c change) error) error {
	return do(maildirChange{})
}

type maildirChange struct{}

func (maildirChange) check(*lockedBox) error { return nil }

// expunge asks for the expunge, and has it carried out.
func (maildirChange) expunge(l *lockedBox, uids []uint32) error {
	var requests translog.ExpungeGUIDs
	for _, uid := range uids {
		if _, found := l.x.State().Find(uid); found {
			requests = append(requests, translog.ExpungeGUID{UID: uid})
		}
	}
	if len(requests) == 0 {
		return nil
	}
	if err := l.x.Commit(false, translog.NewRecord{Payload: requests}); err != nil {
		return fmt.Errorf("mdbox: expunge from %s: %w", l.b.name, err)
	}
	return l.syncLocked()
}

// leave asks for the expunge, which whoever syncs the mailbox next carries out: there are no transactions of files.
func (maildirChange) leave(_ *lockedBox, uid uint32) leaving {
	return leaving{record: translog.NewRecord{Payload: translog.ExpungeGUIDs{{UID: uid}}}, done: (*lockedBox).syncLocked}
}

// records notes what the new messages have changed in the directory.
func (maildirFormat) records(l *lockedBox, _ uint32, _ []newRecord, _ uint32) []translog.NewRecord {
	records, err := l.outer.HeaderRecords(l.x)
	if err != nil {
		l.b.store.report("look at mailbox "+l.b.name, err) // it is read again
	}
	return records
}

func (maildirFormat) newSaver(_ context.Context, b *Mailbox) saver { return &maildirSaver{b: b} }

// maildirSaver writes messages in tmp/, and moves them to cur/ while the mailbox is locked.
type maildirSaver struct {
	b      *Mailbox
	drafts []*maildir.Draft
}

func (a *maildirSaver) save(m dbox.NewMessage, body io.Reader) (dbox.Stored, error) {
	d, err := a.b.maildir.Save(m.Received, body, m.Tee)
	if errors.Is(err, index.ErrDeleted) {
		return dbox.Stored{}, fmt.Errorf("%w: %s: %v", ErrNotFound, a.b.name, err)
	}
	if err != nil {
		return dbox.Stored{}, err
	}
	if m.Copied {
		d.SetGUID(cmp.Or(m.RawGUID, m.GUID.String()))
	}
	a.drafts = append(a.drafts, d)
	return dbox.Stored{Physical: d.Physical, Virtual: d.Virtual, GUID: dbox.ParseGUID([]byte(d.GUID()))}, nil
}

// sync has nothing to do: each message was made durable when it was written.
func (a *maildirSaver) sync() error { return nil }

func (a *maildirSaver) place(_ change, l *lockedBox, messages []newRecord) (first uint32, err error) {
	for i, m := range messages {
		a.drafts[i].Flags, a.drafts[i].Keywords = m.flags, m.keywords
	}
	first, err = l.outer.Place(a.drafts)
	if errors.Is(err, index.ErrDeleted) {
		err = fmt.Errorf("%w: %s: %v", ErrNotFound, l.b.name, err)
	}
	return first, err
}

// takeBack removes the files, unless the log has the messages although it could not be synced.
func (a *maildirSaver) takeBack(_ change, l *lockedBox, _ []newRecord, first uint32) {
	if _, there := l.x.State().Find(first); !there {
		a.b.store.report("remove what was not saved", a.abort())
	}
	a.drafts = nil
}

func (a *maildirSaver) release() error {
	a.drafts = nil
	return nil
}

func (a *maildirSaver) abort() (err error) {
	for _, d := range a.drafts {
		err = errors.Join(err, d.Abort())
	}
	a.drafts = nil
	return err
}

// copyWithin makes new names for the files of the messages, then adds the copies, then, for a move, expunges the originals. Where a file
// can have no other name, the texts are saved again.
func (f maildirFormat) copyWithin(ctx context.Context, b *Mailbox, r CopyRequest) (*Copied, error) {
	uids, messages, err := b.sources(r, nil)
	if err != nil {
		return nil, err
	}
	guid := r.Mailbox
	if guid == [16]byte{} && len(messages) > 0 {
		guid = messages[0].source.guid
	}
	a := &maildirSaver{b: r.To}
	copied := &Copied{}
	var kept []newRecord
	for i, uid := range uids {
		d, err := r.To.maildir.Link(b.maildir, uid)
		if errors.Is(err, maildir.ErrNoLink) {
			if err := a.abort(); err != nil {
				return nil, err
			}
			return b.copyOver(ctx, r)
		}
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
		a.drafts = append(a.drafts, d)
		m := messages[i]
		m.guid, m.size, m.sized = dbox.ParseGUID([]byte(d.GUID())), d.Virtual, d.Virtual > 0
		copied.Source, kept = append(copied.Source, uid), append(kept, m)
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

// lockMaildir takes the lock of a mailbox whose directory is to be moved, with the lock. In other formats it does nothing.
func (s *Store) lockMaildir(ctx context.Context, name, dir string) (unlock func(), err error) {
	if s.location.Format != FormatMaildir {
		return func() {}, nil
	}
	l, err := (&Mailbox{store: s, name: name, dir: dir}).openMaildir().Lock(ctx)
	if err != nil {
		return nil, err
	}
	return func() {
		if err := l.Unlock(); !errors.Is(err, filelock.ErrLost) {
			s.report("unlock mailbox "+name, err)
		}
	}, nil
}

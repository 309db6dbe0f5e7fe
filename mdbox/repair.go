package mdbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/mapindex"
	"github.com/roostmail/roost/mdbox/translog"
	"github.com/roostmail/roost/mdbox/vfs"
)

// Repair is a store of which the map is locked (MAP), so that nobody can save, copy, expunge or purge, and the tree (TREE), so that no mailbox
// is made, renamed or deleted: for package check, which repairs it. It is for one goroutine.
type Repair struct {
	Map  *index.Locked // the map; if it is damaged, only Reset can be used
	tree *filelock.File
	s    *Store
}

// LockForRepair takes TREE and MAP, also of a store whose map is damaged. A store without a map gets an empty one.
func (s *Store) LockForRepair(ctx context.Context) (*Repair, error) {
	if f := s.location.Format; f == FormatMaildir {
		return nil, fmt.Errorf("mdbox: a store of the format %s is repaired when it is used", f)
	}
	w, err := s.mapWriting()
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{s.location.mapDir(), s.location.storageDir()} {
		if err := s.makeDirs(dir); err != nil {
			return nil, err
		}
	}
	tree, err := s.lockTree(ctx)
	if err != nil {
		return nil, err
	}
	select {
	case s.writer <- struct{}{}:
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), tree.Release())
	}
	_, l, err := index.Repair(ctx, s.MapOptions(), w)
	if err != nil {
		<-s.writer
		return nil, errors.Join(fmt.Errorf("mdbox: lock map: %w", err), tree.Release())
	}
	return &Repair{Map: l, tree: tree, s: s}, nil
}

// Unlock gives MAP and TREE back. The store reads everything again.
func (r *Repair) Unlock() error {
	err := errors.Join(r.Map.Unlock(), r.tree.Release())
	s := r.s
	s.writeMap = nil
	s.mu.Lock()
	s.messages = nil
	s.mu.Unlock()
	s.files.CloseIdle()
	<-s.writer
	return err
}

// Files are the m.N files of the store.
func (r *Repair) Files() *dbox.Files { return r.s.files }

// LockMailbox takes BOX of a mailbox, also if it is damaged: for package check. What concerns the map needs a Repair.
func (s *Store) LockMailbox(ctx context.Context, name string) (*index.Locked, error) {
	dir, err := s.mailboxDir(name)
	if err != nil {
		return nil, err
	}
	w, err := s.mailboxWriting(dir)
	if err != nil {
		return nil, err
	}
	_, l, err := index.Repair(ctx, s.indexOptions(dir), w)
	if err != nil {
		return nil, fmt.Errorf("mdbox: lock mailbox %s: %w", name, err)
	}
	return l, nil
}

// MailboxOf returns the name of the mailbox with a storage name. If it does not exist it is made. The map must be in order.
// The caller then calls MarkListStale.
func (r *Repair) MailboxOf(ctx context.Context, storage string) (name string, made bool, err error) {
	s := r.s
	if name, err = s.codec().Name(storage); err != nil {
		return "", false, err
	}
	if _, err = s.mailboxDir(name); !errors.Is(err, ErrNotFound) {
		return name, false, err
	}
	if s.location.Layout == LayoutIndex {
		return "", false, err // its name is in the list index, whose lock comes before MAP
	}
	dir, err := s.codec().Storage(name)
	if err != nil {
		return "", false, err
	}
	p, err := s.permissions(dir)
	if err != nil {
		return "", false, err
	}
	if _, err := s.makeMailboxDirs(dir, p); err != nil {
		return "", false, err
	}
	_, err = s.initialise(ctx, dir, newMailbox{name: name})
	return name, true, err
}

// MarkListStale tells the list index that mailboxes were made, if changed is set.
func (s *Store) MarkListStale(ctx context.Context, changed bool) {
	if changed {
		s.markListStale(ctx)
	}
}

// NextUIDValidity allocates a UIDVALIDITY.
func (r *Repair) NextUIDValidity() (uint32, error) {
	s := r.s
	p, err := s.permissions("")
	if err != nil {
		return 0, err
	}
	if err := s.makeDirs(s.location.Control); err != nil {
		return 0, err
	}
	return mailboxlist.NextUIDValidity(s.options.FS, s.location.Control, p.File, uint32(s.now().Unix()))
}

// MapOptions say where the map is.
func (s *Store) MapOptions() index.Options {
	return index.Options{FS: s.options.FS, Dir: s.location.mapDir(), Prefix: mapindex.Prefix, MaxStateBytes: s.options.MaxStateBytes}
}

// MailboxOptions say where the index of a mailbox is. Errors are those of OpenMailbox.
func (s *Store) MailboxOptions(name string) (index.Options, error) {
	dir, err := s.mailboxDir(name)
	if err != nil {
		return index.Options{}, err
	}
	return s.indexOptions(dir), nil
}

// Remembered is what the list index has of a mailbox. It may be out of date; what is 0 is not known.
type Remembered struct {
	GUID          [16]byte
	UIDValidity   uint32
	UIDNext       uint32
	HighestModSeq uint64
}

// Remembered returns what the list index has of the mailboxes, by name, for when an index is lost. A list index that can not be read has nothing.
func (s *Store) Remembered() map[string]Remembered {
	known := map[string]Remembered{}
	v, err := index.Salvage(s.listOptions())
	if err != nil || v.State == nil {
		return known
	}
	tree, err := mailboxlist.TreeOf(v.State, s.codec())
	if err != nil {
		return known
	}
	for _, m := range tree.Mailboxes {
		if i, found := v.State.Find(m.UID); found {
			known[m.Name] = remembered(v.State, i)
		}
	}
	return known
}

// remembered returns what record i of the list index has.
func remembered(s *index.State, i int) (r Remembered) {
	if e := s.Ext(mailboxlist.ExtList); e != nil {
		if rec, err := mailboxlist.DecodeListRecord(e.Record(i)); err == nil {
			r.GUID, r.UIDValidity = rec.GUID, rec.UIDValidity
		}
	}
	if e := s.Ext(mailboxlist.ExtMessages); e != nil {
		if c, err := mailboxlist.DecodeMessageCounts(e.Record(i)); err == nil {
			r.UIDNext = c.UIDNext
		}
	}
	if e := s.Ext(mailboxlist.ExtModSeq); e != nil {
		r.HighestModSeq, _ = mailboxlist.DecodeHighestModSeq(e.Record(i))
	}
	return r
}

// ResetList makes the list index an empty one that whoever uses it next fills again. With LayoutIndex it is more than a cache, and is left as it is.
func (s *Store) ResetList(ctx context.Context) error {
	if s.location.Layout == LayoutIndex {
		return errors.New("mdbox: with LAYOUT=index the list index is no cache")
	}
	w, err := s.listWriting()
	if err != nil {
		return err
	}
	_, l, err := index.Repair(ctx, s.listOptions(), w)
	if err != nil {
		return fmt.Errorf("mdbox: lock list index: %w", err)
	}
	err = l.Reset(0, staleList(translog.ExtIntro{ExtID: translog.ExtIDByName, Name: mailboxlist.ExtList,
		HdrSize: 1, RecordSize: mailboxlist.ListRecordSize, RecordAlign: 4, NoShrink: true})...)
	if err == nil {
		err = RemoveSpare(s.options.FS, filepath.Join(s.location.Index, s.location.ListIndex)+".log.2")
	}
	return errors.Join(err, l.Unlock())
}

// RemoveSpare removes a file that nothing depends on. One that is not there is no error.
func RemoveSpare(fsys vfs.FS, path string) error {
	if err := fsys.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

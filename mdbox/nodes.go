package mdbox

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/translog"
)

// Changes of the tree of LayoutIndex, where dovecot.list.index is the truth: a mailbox is a node in it and a directory that
// is named after its GUID. A mailbox is made before its node, and deleted before it; what is left in between by a process that
// died is a directory without node, which force-resync of Dovecot finds, or a node without directory, which counts as no mailbox.

// createNode is CreateMailbox under the tree lock.
func (s *Store) createNode(ctx context.Context, name, storage string) error {
	r, mailbox, err := s.findNode(ctx, storage)
	if err != nil {
		return err
	}
	if dir := hex.EncodeToString(r.GUID[:]); mailbox && s.isDir(dir) {
		_, err := index.Open(s.indexOptions(dir))
		if err == nil {
			return fmt.Errorf("%w: %s", ErrExists, name)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return s.completeAt(ctx, name, dir)
		}
		return err
	}
	guid, uidValidity, err := s.makeNodeMailbox(ctx, name, storage)
	if err != nil {
		return err
	}
	return s.editTree(ctx, func(e *mailboxlist.ListEdit) error {
		e.Set(storage, guid, uidValidity)
		return nil
	})
}

// findNode returns the record of the node with a name, and whether it is a mailbox. What a reader of the list index has in
// memory is not good enough for a change.
func (s *Store) findNode(ctx context.Context, storage string) (r mailboxlist.ListRecord, mailbox bool, err error) {
	err = s.editTree(ctx, func(e *mailboxlist.ListEdit) error {
		_, r, mailbox = e.Find(storage)
		return nil
	})
	return r, mailbox, err
}

// isDir reports whether a mailbox has its directory.
func (s *Store) isDir(dir string) bool {
	st, err := s.options.FS.Stat(s.location.mailboxDir(dir))
	return err == nil && st.Dir
}

// makeNodeMailbox makes a mailbox that has no node yet.
func (s *Store) makeNodeMailbox(ctx context.Context, name, storage string) (guid [16]byte, uidValidity uint32, err error) {
	guid = dbox.NewGUID()
	p, err := s.nodePermissions(storage)
	if err != nil {
		return guid, 0, err
	}
	dir := hex.EncodeToString(guid[:])
	if _, err := s.makeMailboxDirs(dir, p); err != nil {
		return guid, 0, err
	}
	b, err := s.initialise(ctx, dir, newMailbox{name: name, guid: guid, boxName: boxName(storage)})
	return guid, b.uidValidity, err
}

// nodePermissions returns the permissions of a new mailbox: those of the nearest parent that is a mailbox, or of the root.
func (s *Store) nodePermissions(storage string) (mailboxlist.Permissions, error) {
	for parent := path.Dir(storage); parent != "."; parent = path.Dir(parent) {
		name, err := s.codec().Name(parent)
		if err != nil {
			break
		}
		if dir, err := s.mailboxDir(name); err == nil {
			return s.permissions(dir)
		}
	}
	return s.permissions("")
}

// deleteNode is DeleteMailbox under the tree lock.
func (s *Store) deleteNode(ctx context.Context, name, storage string) error {
	r, mailbox, err := s.findNode(ctx, storage)
	if err != nil {
		return err
	}
	if dir := hex.EncodeToString(r.GUID[:]); mailbox && s.isDir(dir) {
		if _, err = s.emptyForDelete(ctx, name, dir); err != nil {
			return err
		}
		if err := s.trash(ctx, name, dir); err != nil {
			return fmt.Errorf("mdbox: delete mailbox %s: %w", name, err)
		}
	}
	gone := false
	err = s.editTree(ctx, func(e *mailboxlist.ListEdit) error {
		uid, _, _ := e.Find(storage)
		if uid == 0 {
			return fmt.Errorf("%w: %s", ErrNotFound, name)
		}
		err := e.Delete(uid)
		if errors.Is(err, mailboxlist.ErrNodeHasChildren) {
			return fmt.Errorf("%w: %s", ErrHasChildren, name)
		}
		_, still := e.Record(uid)
		gone = !still && len(e.Children(uid)) == 0
		return err
	})
	if err != nil || !mailbox {
		return err
	}
	s.noteChange(mailboxlist.ChangeDeleted, r.GUID)
	s.forgetAttributes(ctx, r.GUID)
	if gone {
		s.noteName(mailboxlist.ChangeDirDeleted, name)
	}
	return nil
}

// renameNode is RenameMailbox under the tree lock.
func (s *Store) renameNode(ctx context.Context, from, to, fromStorage, toStorage string) error {
	var inbox mailboxlist.ListRecord // the new one
	if s.isInbox(from) {
		if err := s.refuseExisting(ctx, to, toStorage); err != nil {
			return err
		}
		if err := s.prepareInbox(ctx, &inbox); err != nil {
			return err
		}
	}
	renamed := map[string]string{} // storage names by directory
	err := s.editTree(ctx, func(e *mailboxlist.ListEdit) error {
		uid, r, _ := e.Find(fromStorage)
		if uid == 0 {
			return fmt.Errorf("%w: %s", ErrNotFound, from)
		}
		if there, _, _ := e.Find(toStorage); there != 0 {
			return fmt.Errorf("%w: %s", ErrExists, to)
		}
		moved := []uint32{uid}
		if s.isInbox(from) {
			e.Set(toStorage, r.GUID, r.UIDValidity)
			e.Set(fromStorage, inbox.GUID, inbox.UIDValidity)
			moved[0], _, _ = e.Find(toStorage)
		} else {
			if err := e.Rename(uid, toStorage); err != nil {
				return err
			}
			moved = append(moved, e.Children(uid)...)
		}
		return s.noteMoved(e, moved, renamed)
	})
	if err != nil {
		return err
	}
	s.renamedNodes(context.WithoutCancel(ctx), toStorage, renamed)
	s.noteName(mailboxlist.ChangeRenamed, to)
	return nil
}

// refuseExisting returns ErrExists if there is a node with a name.
func (s *Store) refuseExisting(ctx context.Context, name, storage string) error {
	return s.editTree(ctx, func(e *mailboxlist.ListEdit) error {
		if there, _, _ := e.Find(storage); there != 0 {
			return fmt.Errorf("%w: %s", ErrExists, name)
		}
		return nil
	})
}

// prepareInbox makes what INBOX will be after it was renamed. INBOX itself is made if it does not exist.
func (s *Store) prepareInbox(ctx context.Context, r *mailboxlist.ListRecord) error {
	if err := s.createNode(ctx, mailboxlist.Inbox, mailboxlist.Inbox); err != nil && !errors.Is(err, ErrExists) {
		return err
	}
	var err error
	r.GUID, r.UIDValidity, err = s.makeNodeMailbox(ctx, mailboxlist.Inbox, mailboxlist.Inbox)
	return err
}

// noteMoved adds the directories of nodes and their names to renamed, and refuses names that are not possible.
func (s *Store) noteMoved(e *mailboxlist.ListEdit, moved []uint32, renamed map[string]string) error {
	for _, uid := range moved {
		storage := e.Storage(uid)
		name, err := s.codec().Name(storage)
		if err == nil {
			_, err = s.codec().Storage(name)
		}
		if err != nil {
			return err
		}
		if r, mailbox := e.Record(uid); mailbox {
			renamed[hex.EncodeToString(r.GUID[:])] = storage
		}
	}
	return nil
}

// renamedNodes writes the new names into the indexes of the mailboxes. Nothing depends on them as long as the list index is well.
func (s *Store) renamedNodes(ctx context.Context, toStorage string, renamed map[string]string) {
	for dir, storage := range renamed {
		err := s.noteRename(ctx, dir, storage == toStorage, boxName(storage))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, index.ErrDeleted) {
			s.options.Report(fmt.Errorf("mdbox: note the new name in the index of %s: %w", storage, err))
		}
	}
}

// editTree changes the tree. A store without list index gets one.
func (s *Store) editTree(ctx context.Context, edit func(e *mailboxlist.ListEdit) error) error {
	w, err := s.listWriting()
	if err != nil {
		return err
	}
	if err := s.makeDirs(s.location.Index); err != nil {
		return err
	}
	_, l, err := index.Create(ctx, s.listOptions(), w)
	if err != nil {
		return fmt.Errorf("mdbox: lock list index: %w", err)
	}
	if l.State().UIDValidity() == 0 {
		err := l.Commit(true, done(slices.Concat(index.UIDValidityUpdate(uint32(s.now().Unix())), index.Log2RotateTimeUpdate(noLog2))))
		if err != nil {
			return errors.Join(fmt.Errorf("mdbox: make list index: %w", err), l.Unlock())
		}
	}
	return commitList(l, func(l *index.Locked) ([]translog.NewRecord, error) {
		e, err := mailboxlist.NewListEdit(l)
		if err == nil {
			err = edit(e)
		}
		if err != nil {
			return nil, err
		}
		return e.Records(), nil
	})
}

// boxName returns the header data of the extension box-name.
func boxName(storage string) []byte { return []byte(strings.ReplaceAll(storage, "/", "\x00")) }

package mdbox

import (
	"context"

	"github.com/emersion/go-imap/v2"
	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/acl"
)

// Status implements backend.Storage.
func (s *Storage) Status(ctx context.Context, u *backend.User, namespace string, names []string, items backend.StatusItems) ([]backend.MailboxStatus, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	_, p, err := s.locate(u, namespace)
	if err != nil {
		return nil, err
	}
	res := make([]backend.MailboxStatus, len(names))
	for i, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, toBackend(err)
		}
		var watches []backend.Watch
		if items&backend.StatusWatch != 0 {
			watches = s.watchStatus(u, p, name)
		}
		var st mdbox.Status
		err := s.allow(backend.MailboxRef{User: u, Namespace: namespace, Name: name}, acl.Read)
		if err == nil {
			st, err = s.status(p, name, items)
		}
		deleted := uint64(0)
		if err == nil && items&backend.StatusDeletedSize != 0 {
			deleted, err = s.deletedSize(p, name)
		}
		if err != nil {
			s.watches.giveBack(watches)
			res[i] = backend.MailboxStatus{Name: name, Err: toBackend(err)}
			continue
		}
		res[i] = backend.MailboxStatus{
			Name:          name,
			Messages:      st.Messages,
			Recent:        st.Recent,
			Unseen:        st.Unseen,
			UIDNext:       imap.UID(st.UIDNext),
			UIDValidity:   st.UIDValidity,
			HighestModSeq: st.HighestModSeq,
			Size:          st.Size,
			Deleted:       st.Deleted,
			DeletedSize:   deleted,
			MailboxID:     st.GUID,
			Watches:       watches,
		}
	}
	return res, nil
}

// status answers from Dovecot's list index if that is up to date, else by opening the mailbox.
func (s *Storage) status(p place, name string, items backend.StatusItems) (mdbox.Status, error) {
	size := items&backend.StatusSize != 0
	if s.settings.listIndex && items&backend.StatusDeleted == 0 {
		store, release, err := s.stores.store(p)
		if err != nil {
			return mdbox.Status{}, err
		}
		st, ok := store.CachedStatus(name, size)
		release()
		if ok {
			return st, nil
		}
	}
	m, release, err := s.stores.mailbox(p, name)
	if err != nil {
		return mdbox.Status{}, err
	}
	defer release()
	st, err := m.Status(size)
	if err != nil {
		return mdbox.Status{}, s.failed(p, m, err)
	}
	return st, nil
}

// deletedSize returns the size of the messages with \Deleted.
func (s *Storage) deletedSize(p place, name string) (uint64, error) {
	m, release, err := s.stores.mailbox(p, name)
	if err != nil {
		return 0, err
	}
	defer release()
	n, err := m.DeletedSize()
	if err != nil {
		return 0, s.failed(p, m, err)
	}
	return n, nil
}

// maxDepth is how many directories of one mailbox are watched at the most.
const maxDepth = 32

// watchStatus adds the watches that tell of every change to a mailbox's status. It returns nil if it can not.
func (s *Storage) watchStatus(u *backend.User, p place, name string) []backend.Watch {
	store, release, err := s.stores.store(p)
	if err != nil {
		return nil
	}
	defer release()
	dirs, err := store.WatchDirs(name)
	if err == nil && s.settings.acl != nil {
		var lists []mdbox.WatchDir
		lists, err = s.aclWatchDirs(store, u, p, name)
		dirs = append(dirs, lists...)
	}
	if err != nil || len(dirs) > maxDepth { // status tells the error
		return nil
	}
	watches := make([]backend.Watch, 0, len(dirs))
	for _, d := range dirs {
		wd := s.watches.addDir(d)
		if wd == 0 {
			s.watches.giveBack(watches)
			return nil
		}
		watches = append(watches, backend.Watch{ID: wd, Name: d.Prefix})
	}
	return watches
}

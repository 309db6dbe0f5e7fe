package mdbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/mailboxlist"
	"github.com/roostmail/roost/mdbox/translog"
)

// editList changes the list index under its lock LIST, if there is one. edit is given its state and returns the records to write.
func (s *Store) editList(ctx context.Context, edit func(l *index.Locked) ([]translog.NewRecord, error)) error {
	w, err := s.listWriting()
	if err != nil {
		return err
	}
	x, err := index.Open(s.listOptions())
	if err != nil {
		return fmt.Errorf("mdbox: open list index: %w", err)
	}
	l, err := x.Lock(ctx, w)
	if err != nil {
		return fmt.Errorf("mdbox: lock list index: %w", err)
	}
	return commitList(l, edit)
}

// commitList writes what edit wants and gives LIST back.
func commitList(l *index.Locked, edit func(l *index.Locked) ([]translog.NewRecord, error)) error {
	records, err := edit(l)
	if err == nil {
		err = l.Commit(true, records...)
	}
	if err == nil && l.TailIsHead() {
		err = l.Maintain()
	}
	return errors.Join(err, l.Unlock())
}

func (s *Store) listOptions() index.Options {
	return index.Options{FS: s.options.FS, Dir: s.location.Index, Prefix: s.location.ListIndex, MaxStateBytes: s.options.MaxStateBytes}
}

// markListStale tells all who use the list index, which with LayoutFS is a cache of the directories, that it is out of date (dovecot
// mailbox-list-index-notify.c and mailbox-list-index-sync.c). A list index that can not be changed is no reason for a
// change of the tree to fail: it is only reported.
func (s *Store) markListStale(ctx context.Context) {
	err := s.editList(context.WithoutCancel(ctx), func(l *index.Locked) ([]translog.NewRecord, error) {
		e := l.State().Ext(mailboxlist.ExtList)
		if e != nil && len(e.Header()) > 0 && e.Header()[0] != 0 {
			return nil, nil
		}
		return staleList(l.Intro(mailboxlist.ExtList, 1, mailboxlist.ListRecordSize, 4)), nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, index.ErrDeleted) {
		s.options.Report(err)
	}
}

// staleList returns the records that set the refresh flag of the list index.
func staleList(intro translog.ExtIntro) []translog.NewRecord {
	return []translog.NewRecord{done(translog.ExtIntros{intro}), done(translog.ExtHdrUpdates{{Data: []byte{1}}})}
}

// noteSubscriptions tells the list index the mtime of the file subscriptions, as Dovecot does after a change.
func (s *Store) noteSubscriptions(ctx context.Context, path string) {
	st, err := s.options.FS.Stat(path)
	if err == nil {
		err = s.editList(context.WithoutCancel(ctx), func(l *index.Locked) ([]translog.NewRecord, error) {
			mtime := le32(uint32(time.Unix(0, st.Mtime).Unix()))
			return []translog.NewRecord{
				done(translog.ExtIntros{l.Intro(mailboxlist.ExtSubs, 4, 0, 4)}),
				done(translog.ExtHdrUpdates{{Data: mtime}}),
			}, nil
		})
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, index.ErrDeleted) {
		s.options.Report(err)
	}
}

// noteChange adds a record to the log that replication reads. It is only reported if that fails.
func (s *Store) noteChange(t mailboxlist.ChangeType, guid [16]byte) {
	p, err := s.permissions("")
	if err == nil {
		path := filepath.Join(s.location.Index, mailboxlist.ChangeLogName)
		c := mailboxlist.Change{Type: t, GUID: guid, Time: uint32(s.now().Unix())}
		err = mailboxlist.AppendChange(s.options.FS, path, p.File, c)
	}
	if err != nil {
		s.options.Report(fmt.Errorf("mdbox: mailbox log: %w", err))
	}
}

// noteName is noteChange for a name.
func (s *Store) noteName(t mailboxlist.ChangeType, name string) {
	s.noteChange(t, mailboxlist.NameGUID(s.clientName(name)))
}

func le32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

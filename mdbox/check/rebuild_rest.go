package check

import (
	"errors"
	"path/filepath"

	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/translog"
)

// repairList makes the list index an empty one.
func (b *builder) repairList() error {
	if err := b.s.ResetList(b.ctx); err != nil {
		return err
	}
	b.did(Repair{File: b.paths.ListIndex, What: "damaged, and made anew: whoever lists mailboxes next fills it"})
	return nil
}

// repairCaches removes damaged caches. They are made again from the messages.
func (b *builder) repairCaches(mailboxes map[string]bool) error {
	for name := range mailboxes {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		if err := b.repairCache(name); err != nil && !errors.Is(err, mdbox.ErrNotFound) && !errors.Is(err, index.ErrDeleted) {
			return err
		}
	}
	return nil
}

func (b *builder) repairCache(name string) (err error) {
	_, dir, err := b.s.MailboxPaths(name)
	if err != nil {
		return err
	}
	l, err := b.s.LockMailbox(b.ctx, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Unlock()) }()
	path := filepath.Join(dir, "dovecot.index.cache")
	if err := mdbox.RemoveSpare(b.o.FS, path); err != nil {
		return err
	}
	b.did(Repair{File: path, What: "damaged, and removed: what is in it is read from the messages again", Mailbox: name})
	if l.State().Ext("cache") == nil {
		return nil
	}
	in := l.Intro("cache", 0, 4, 4)
	return l.Commit(false, translog.NewRecord{External: true, Payload: translog.ExtIntros{in}},
		translog.NewRecord{External: true, Payload: translog.ExtReset{NewResetID: in.ResetID + 1}})
}

// repairSizes makes the sizes of messages unknown that indexes have wrong, and the sums of all, in which they are.
func (b *builder) repairSizes(mailboxes map[string][]uint32) error {
	for name, uids := range mailboxes {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		if err := b.forgetSizes(name, uids); err != nil && !errors.Is(err, mdbox.ErrNotFound) && !errors.Is(err, index.ErrDeleted) {
			return err
		}
	}
	return nil
}

func (b *builder) forgetSizes(name string, uids []uint32) (err error) {
	l, err := b.s.LockMailbox(b.ctx, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Unlock()) }()
	s := l.State()
	unknown := translog.NewExtRecUpdates(4)
	for _, uid := range uids {
		if _, there := s.Find(uid); there {
			unknown.Add(uid, make([]byte, 4))
			b.did(Repair{File: l.Index().Path(), What: "the size of the message was wrong, and is unknown now: it is told by the message again", Mailbox: name, UID: uid})
		}
	}
	if s.Ext(index.ExtVSize) == nil || unknown.Len() == 0 {
		return nil
	}
	records := []translog.NewRecord{{External: true, Payload: translog.ExtIntros{l.Intro(index.ExtVSize, 0, 4, 4)}}, {External: true, Payload: unknown}}
	if s.Ext(index.ExtVSizeHeader) != nil {
		records = append(records, l.VSizeUpdate(index.VSizeHeader{})...)
	}
	return l.Commit(false, records...)
}

// repairControl repairs what belongs to the store as a whole.
func (b *builder) repairControl() error {
	changed, err := b.s.RepairSubscriptions(b.ctx)
	if changed {
		b.did(Repair{File: filepath.Join(b.s.Location().Control, b.s.Location().Subscriptions), What: "lines that can not be read were removed"})
	}
	return err
}

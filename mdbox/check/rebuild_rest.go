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

// repairControl repairs what belongs to the store as a whole.
func (b *builder) repairControl() error {
	changed, err := b.s.RepairSubscriptions(b.ctx)
	if changed {
		b.did(Repair{File: filepath.Join(b.s.Location().Control, b.s.Location().Subscriptions), What: "lines that can not be read were removed"})
	}
	return err
}

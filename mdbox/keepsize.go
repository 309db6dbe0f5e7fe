package mdbox

import (
	"context"
	"errors"

	"github.com/roostmail/roost/mdbox/filelock"
	"github.com/roostmail/roost/mdbox/index"
)

// CountSize returns how many messages there are, and the sum of their sizes in bytes with CRLF line ends: what a quota counts. What it has to
// find out for that it notes in the index (hdr-vsize), as Dovecot does, so that the next who asks need not. A message
// whose size can not be read counts as empty, and then nothing is noted.
func (b *Mailbox) CountSize(ctx context.Context) (messages uint32, bytes uint64, err error) {
	st, complete, err := b.knownCount()
	if err != nil || complete {
		return st.Messages, st.Size, err
	}
	if b.store.options.Write == nil || b.noteSize(ctx) != nil {
		if st, err = b.Status(true); err != nil {
			return 0, 0, err
		}
	} else if st, complete, err = b.knownCount(); err == nil && !complete { // somebody has changed the mailbox since
		st, err = b.Status(true)
	}
	return st.Messages, st.Size, err
}

// knownCount returns number and sizes of the messages, and whether the index knows them all.
func (b *Mailbox) knownCount() (st Status, complete bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := b.refresh()
	if err != nil {
		return Status{}, false, err
	}
	sum, rest := knownSize(s)
	return Status{Messages: uint32(s.Len()), Size: sum}, len(rest) == 0, nil
}

// noteSize completes hdr-vsize.
func (b *Mailbox) noteSize(ctx context.Context) error {
	sum := &sizeSum{sizes: map[uint32]uint64{}}
	path, err := b.sizeLockPath()
	if err != nil {
		return err
	}
	if b.store.options.Write == nil {
		return ErrReadOnly
	}
	if b.store.location.Format == FormatMaildir { // its own lock comes before VSIZE
		return b.noteMaildirSize(ctx, sum)
	}
	if sum.lock, err = b.lockSizeFile(ctx, path, sizeTimeout); err != nil {
		if !errors.Is(err, filelock.ErrTimeout) {
			b.store.report("lock the sum of sizes of "+b.name, err)
		}
		return err
	}
	if err = sum.measureUnknown(b); err == nil {
		var l *lockedBox
		if l, err = b.lock(ctx, [16]byte{}); err == nil {
			err = l.writeSize(sum)
			l.unlock()
		}
	}
	sum.release(b)
	return err
}

// noteMaildirSize is noteSize for FormatMaildir.
func (b *Mailbox) noteMaildirSize(ctx context.Context, sum *sizeSum) error {
	if err := sum.measureUnknown(b); err != nil {
		return err
	}
	l, err := b.lockWith(ctx, [16]byte{}, sum)
	if err != nil {
		return err
	}
	defer l.unlock()
	if l.sum == nil {
		return filelock.ErrTimeout
	}
	return l.writeSize(sum)
}

// measureUnknown finds out the sizes of the messages that the index does not have in its sum.
func (s *sizeSum) measureUnknown(b *Mailbox) error {
	b.mu.Lock()
	state, err := b.refresh()
	var rest []uint32
	if err == nil {
		_, rest = knownSize(state)
		rest = append([]uint32(nil), rest...)
	}
	b.mu.Unlock()
	if err != nil || len(rest) == 0 {
		return err
	}
	return s.measure(b, rest)
}

// writeSize writes hdr-vsize from sizes that were measured, as far as it is of the messages that are there now.
func (l *lockedBox) writeSize(sum *sizeSum) error {
	s := l.x.State()
	bytes, rest := knownSize(s)
	counted := s.Len() - len(rest)
	h := index.VSizeHeader{VSize: bytes, MessageCount: uint32(counted)}
	if counted > 0 {
		h.HighestUID = s.UIDs()[counted-1]
	}
	for _, uid := range rest {
		n, known := sum.sizes[uid]
		if !known { // it has come meanwhile
			break
		}
		h = index.VSizeHeader{VSize: h.VSize + n, HighestUID: uid, MessageCount: h.MessageCount + 1}
	}
	if now, ok := s.VSize(); ok && now == h || h.MessageCount == 0 && s.Ext(index.ExtVSizeHeader) != nil {
		return nil
	}
	if err := l.x.Commit(false, l.x.VSizeUpdate(h)...); err != nil {
		return err
	}
	l.finish()
	return nil
}

// SizeOf returns how many of the messages with the given UIDs there are, and the sum of their sizes; one whose size can not be read counts as empty.
func (b *Mailbox) SizeOf(uids []uint32) (messages int, bytes uint64, err error) {
	ms, err := b.Messages(uids)
	if err != nil {
		return 0, 0, err
	}
	defer ms.Close()
	for ms.Next() {
		messages++
		if n, err := ms.Message().Size(); err == nil {
			bytes += n
		}
	}
	return messages, bytes, ms.Err()
}

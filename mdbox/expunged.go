package mdbox

import (
	"errors"
	"fmt"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/translog"
)

// UIDRange is a range of UIDs, both ends included.
type UIDRange = translog.UIDRange

// ExpungedSince returns the UIDs of messages that were expunged with a modseq above the given one, ascending, in ranges without
// UIDs in use; it may name UIDs that never belonged to a message. guid is that of the mailbox, zero = any.
//
// Errors: ErrHistoryGone if the mailbox's log does not reach back so far, ErrNotFound (also for another GUID), ErrNotInitialised.
func (b *Mailbox) ExpungedSince(guid [16]byte, modseq uint64) ([]UIDRange, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := b.refresh()
	if err != nil {
		return nil, err
	}
	if guid != [16]byte{} && guid != b.guid(s) {
		return nil, fmt.Errorf("%w: %s was recreated", ErrNotFound, b.name)
	}
	rs, err := b.index.ExpungedSince(modseq)
	if errors.Is(err, index.ErrHistoryGone) {
		return nil, fmt.Errorf("%w: %s: %w", ErrHistoryGone, b.name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("mdbox: expunged messages of %s: %w", b.name, err)
	}
	return rs, nil
}

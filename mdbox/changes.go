package mdbox

import (
	"errors"
	"fmt"
	"slices"

	"github.com/roostmail/roost/mdbox/index"
)

// Changes is the difference between two positions of a mailbox. It belongs to the caller.
type Changes struct {
	UIDNext        uint32
	FirstRecentUID uint32
	HighestModSeq  uint64
	Keywords       []string // all
	// Expunged are UIDs that were there and are gone, ascending. A process that
	// expunges ranges may have named UIDs that never belonged to a message.
	Expunged []uint32
	Updated  Columns // messages that were there before, with their current values
	Appended Columns // messages that came since and are still there
	Position Position
}

// Changes brings the mailbox up to date and returns what happened since a
// position, which any process may have got at any time. Nothing happened: the positions are equal.
//
// Errors: ErrHistoryGone, for which Snapshot is the remedy, ErrNotFound, ErrNotInitialised.
func (b *Mailbox) Changes(since Position) (*Changes, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := b.refreshFlags()
	if err != nil {
		return nil, err
	}
	c := &Changes{
		UIDNext:        s.NextUID(),
		FirstRecentUID: s.FirstRecentUID(),
		HighestModSeq:  s.HighestModSeq(),
		Keywords:       s.Keywords(),
		Position:       b.position(s),
	}
	if c.Position == since {
		return c, nil
	}
	if c.Position.Mailbox != since.Mailbox {
		return nil, fmt.Errorf("%w: %s was recreated", ErrHistoryGone, b.name)
	}
	x, err := b.index.Changes(since.Index)
	if errors.Is(err, index.ErrHistoryGone) {
		return nil, fmt.Errorf("%w: %s: %w", ErrHistoryGone, b.name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("mdbox: changes of %s: %w", b.name, err)
	}
	c.Expunged = x.Expunged
	c.Appended = columnsOf(s, x.Appended)
	updated := x.Updated
	if s.HasModSeqs() && !since.ModSeqs {
		updated = s.UIDs()[:s.Len()-len(x.Appended)]
	}
	c.Updated = columnsOf(s, updated)
	return c, nil
}

// columnsOf returns the messages of s with the given UIDs, which exist.
func columnsOf(s *index.State, uids []uint32) Columns {
	c := newColumns(s, len(uids))
	for i := range located(s, slices.Values(uids)) {
		c.add(s, i)
	}
	return c
}

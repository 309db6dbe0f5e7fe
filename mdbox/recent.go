package mdbox

import (
	"context"
	"fmt"

	"github.com/roostmail/roost/mdbox/index"
)

// ClaimRecent makes the messages that are \Recent for the next session those of the caller: first <= UID < next. It returns
// first == next when there are none. guid is that of the mailbox, zero = any.
func (b *Mailbox) ClaimRecent(ctx context.Context, guid [16]byte) (first, next uint32, err error) {
	l, err := b.lock(ctx, guid)
	if err != nil {
		return 0, 0, err
	}
	defer l.unlock()
	s := l.x.State()
	first, next = max(s.FirstRecentUID(), 1), s.NextUID()
	if first >= next {
		return next, next, nil
	}
	if err := l.x.Commit(false, external(index.FirstRecentUIDUpdate(next))); err != nil {
		return 0, 0, fmt.Errorf("mdbox: note recent messages of %s: %w", b.name, err)
	}
	l.finish()
	return first, next, nil
}

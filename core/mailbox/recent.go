package mailbox

import (
	"context"
	"math"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
)

// A message is \Recent in the first session that is told of it, and in no other if that session
// may change the mailbox (RFC 3501 §2.3.2). Storage keeps the UID up to which messages were
// claimed by a session of any server; which of this server's sessions has claimed which of them is kept here, since a session
// that has none, as most, is to cost nothing.

// claim is a run of UIDs, first <= uid < next, that are \Recent for one session.
type claim struct {
	first, next imap.UID
	owner       uint64
}

// maxClaims bounds the claims of one mailbox. Beyond it the oldest one ends: its messages are not \Recent any more.
const maxClaims = 1024

// Recent is the set of UIDs that are \Recent for one session. The zero value is empty.
type Recent struct {
	claims []claim // ascending
}

// Unclaimed returns what is \Recent for a session that claims nothing, as EXAMINE's.
func (v *View) Unclaimed() Recent {
	if v.FirstRecent >= v.UIDNext {
		return Recent{}
	}
	return Recent{[]claim{{first: v.FirstRecent, next: math.MaxUint32}}}
}

// Claimed returns what an owner has claimed.
func (m *Mailbox) Claimed(owner uint64) Recent {
	m.mu.Lock()
	defer m.mu.Unlock()
	var s Recent
	for _, c := range m.claims {
		if c.owner == owner {
			s.claims = append(s.claims, c)
		}
	}
	return s
}

// Empty reports whether the set is empty.
func (s Recent) Empty() bool { return len(s.claims) == 0 }

// Has reports whether a message is \Recent.
func (s Recent) Has(uid imap.UID) bool {
	for _, c := range s.claims {
		if c.first <= uid && uid < c.next {
			return true
		}
	}
	return false
}

// Count returns how many messages of a view are \Recent.
func (s Recent) Count(v *View) uint32 {
	n := uint32(0)
	for _, c := range s.claims {
		n += uint32(v.lowerBound(c.next) - v.lowerBound(c.first))
	}
	return n
}

// HasUnclaimed reports whether there may be messages for Claim in a view, the current one or an older one.
func (m *Mailbox) HasUnclaimed(v *View) bool {
	return max(m.cur.Load().FirstRecent, 1) < v.UIDNext
}

// Claim makes all messages that are \Recent for nobody yet those of owner, a session, until
// Unclaim, but for those with a UID below from: a session that knows them already was told that they are not \Recent. It holds the
// turn meanwhile, so that of many sessions that are told of a new message one
// calls storage. claimed is false if another session was faster.
func (m *Mailbox) Claim(ctx context.Context, w backend.Writer, owner uint64, from imap.UID) (claimed bool, err error) {
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return false, &backend.Error{Kind: backend.KindCancelled, Cause: ctx.Err()}
	}
	defer func() { <-m.turn }()
	if !m.HasUnclaimed(m.cur.Load()) || m.gone() != nil {
		return false, nil
	}
	c, err := w.ClaimRecent(ctx, *m.Ref(), m.Current().MailboxID, m.position)
	if err == nil && c == nil {
		err = badAnswer("no claim")
	}
	if err != nil {
		m.Doubt()
		return false, err
	}
	first, next := max(imap.UID(c.First), from), imap.UID(c.Next)
	claimed = first < next
	if claimed {
		m.addClaim(claim{first, next, owner})
	}
	m.installClaim(c.Changed)
	return claimed, nil
}

// installClaim installs what a claim has told. That messages are not \Recent any more is no news for which
// the other sessions have to be woken. The caller holds the turn.
func (m *Mailbox) installClaim(c *backend.Changes) {
	if c == nil {
		m.Doubt()
		return
	}
	before := m.Current()
	if _, err := m.take(c); err != nil {
		m.Doubt()
		return
	}
	if now := m.Current(); now.HighestModSeq != before.HighestModSeq || now.Len() != before.Len() {
		m.r.onChange(m.id)
	}
}

// addClaim adds a claim, which is of newer messages than all others.
func (m *Mailbox) addClaim(c claim) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed = true
	n := len(m.claims)
	if n > 0 && m.claims[n-1].owner == c.owner && m.claims[n-1].next == c.first {
		m.claims[n-1].next = c.next
		return
	}
	if n == maxClaims {
		m.claims = append(m.claims[:0], m.claims[1:]...)
	}
	m.claims = append(m.claims, c)
}

// unclaim ends what an owner has claimed: its messages are \Recent for nobody. The caller holds mu.
func (m *Mailbox) unclaim(owner uint64) {
	left := m.claims[:0]
	for _, c := range m.claims {
		if c.owner != owner {
			left = append(left, c)
		}
	}
	if m.claims = left; len(left) == 0 {
		m.claims = nil
	}
}

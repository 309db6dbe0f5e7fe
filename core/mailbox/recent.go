package mailbox

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
)

// A message is \Recent in the first session that is told of it, and in no other if that session
// may change the mailbox (RFC 3501 §2.3.2). Storage keeps the UID up to which messages were
// claimed by a session of any server. Which of this server's sessions has claimed which of them, sessions remember by themselves as long as it is one run
// of UIDs; what is more is kept here.

// claim is a run of UIDs, first <= uid < next, that are \Recent for one session.
type claim struct {
	first, next imap.UID
	owner       uint64
}

// maxClaims bounds the claims of one mailbox. Beyond it the oldest one ends: its messages are not \Recent any more.
const maxClaims = 1024

// Recent is the set of UIDs that are \Recent for one session. The zero value is empty.
type Recent struct {
	claims []claim // without common UIDs
}

// Unclaimed returns what is \Recent for a session that claims nothing, as EXAMINE's.
func (v *View) Unclaimed() Recent {
	if v.FirstRecent >= v.UIDNext {
		return Recent{}
	}
	return Recent{[]claim{{first: v.FirstRecent, next: math.MaxUint32}}}
}

// Claimed returns what was kept for an owner.
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

// Run is a run of UIDs, First <= uid < Next.
type Run struct{ First, Next imap.UID }

// Empty reports whether there is no UID in the run.
func (r Run) Empty() bool { return r.First >= r.Next }

// With returns the set with a run that is not in it.
func (s Recent) With(run Run) Recent {
	if run.Empty() {
		return s
	}
	return Recent{append(s.claims[:len(s.claims):len(s.claims)], claim{first: run.First, next: run.Next})}
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

// Claim claims all messages that are \Recent for nobody yet, for the session that calls it, but for those with a UID below from: a session that knows them
// already was told that they are not \Recent. It holds the turn meanwhile, so that of many sessions that are told of a new message one
// calls storage. The run is empty if another session was faster. It is the session's to remember: by itself, or with KeepRun.
func (m *Mailbox) Claim(ctx context.Context, w backend.Writer, from imap.UID) (Run, error) {
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return Run{}, &backend.Error{Kind: backend.KindCancelled, Cause: ctx.Err()}
	}
	defer func() { <-m.turn }()
	if !m.HasUnclaimed(m.cur.Load()) || m.gone() != nil {
		return Run{}, nil
	}
	c, err := w.ClaimRecent(ctx, *m.Ref(), m.Current().MailboxID, m.position)
	if err == nil && c == nil {
		err = badAnswer("no claim")
	}
	if err != nil {
		m.Doubt()
		return Run{}, err
	}
	m.installClaim(c.Changed)
	return Run{max(imap.UID(c.First), from), imap.UID(c.Next)}, nil
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

// KeepRun remembers what an owner has claimed, which is not empty, until the owner leaves the mailbox.
func (m *Mailbox) KeepRun(owner uint64, run Run) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed = true
	// At the end, but for a run that its owner has remembered for a while.
	at, _ := slices.BinarySearchFunc(m.claims, run.First, func(c claim, first imap.UID) int { return cmp.Compare(c.first, first) })
	if at > 0 && m.claims[at-1].owner == owner && m.claims[at-1].next == run.First {
		m.claims[at-1].next = run.Next
		return
	}
	m.claims = slices.Insert(m.claims, at, claim{run.First, run.Next, owner})
	if len(m.claims) > maxClaims {
		m.claims = slices.Delete(m.claims, 0, 1)
	}
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

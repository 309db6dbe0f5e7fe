package imap

import (
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/mailbox"
)

// ownChange is what a command itself has done to flags. sync tells it the session as the command wants it
// told, and everybody else like any other change.
type ownChange struct {
	uids   []uint32 // of messages it was done to, ascending
	change mailbox.FlagChange
	silent bool          // the client knows already what comes of it
	before *mailbox.View // what it was done to
}

// ownStory is an ownChange together with the update that it is part of.
type ownStory struct {
	*ownChange
	bits     mailbox.FlagBits
	to       *mailbox.View
	external []uint32 // UIDs of messages whose flags somebody else changed before, of which the client knows nothing
	unsure   bool     // anybody may have changed any of them
	at       int      // in uids: of the message that mine is asked about next, if it is asked in order
}

func (o *ownChange) story(m *mailbox.Mailbox, u *mailbox.Update) *ownStory {
	s := &ownStory{ownChange: o, bits: o.change.Bits(u.To), to: u.To}
	var ok bool
	s.external, ok = m.Flagged(u.From.Version, o.before.Version)
	s.unsure = !ok
	return s
}

// merge returns the changed messages of an update together with those of the command, in order of their sequence numbers. What the
// command did may lie behind an EXPUNGE that can not be told yet, or may have changed nothing; its
// messages are told nevertheless.
func (s *ownStory) merge(u *mailbox.Update) []mailbox.Changed {
	changed := u.Changed // of UIDs that may still come
	var others []mailbox.Changed
	was, is := u.From.Finder(), u.To.Finder()
	for _, uid := range s.uids {
		for len(changed) > 0 && uint32(changed[0].UID) < uid {
			changed = changed[1:]
		}
		if len(changed) > 0 && uint32(changed[0].UID) == uid {
			continue
		}
		seq, now := was.Seq(imap.UID(uid)), is.Seq(imap.UID(uid))
		if seq == 0 || now == 0 {
			continue
		}
		m, _ := u.To.Message(now)
		m.Seq = seq
		others = append(others, mailbox.Changed{Message: m})
	}
	if len(others) == 0 {
		return u.Changed
	}
	all := slices.Concat(u.Changed, others)
	slices.SortFunc(all, func(a, b mailbox.Changed) int { return int(int64(a.Seq) - int64(b.Seq)) })
	return all
}

// mine reports whether the command has changed a message.
func (s *ownStory) mine(uid uint32) bool {
	if s.at == len(s.uids) || s.uids[s.at] != uid {
		i, there := slices.BinarySearch(s.uids, uid)
		if !there {
			return false
		}
		s.at = i
	}
	s.at++
	return true
}

// say decides what is told of a message that merge has returned. modseq is of interest with CONDSTORE only.
func (s *ownStory) say(c mailbox.Changed) (flags, modseq bool) {
	uid := uint32(c.UID)
	if !s.mine(uid) {
		return !c.FlagsSame, true
	}
	if !s.silent {
		return true, true // RFC 3501 §6.4.6: the updated value, whether or not it is another one
	}
	old, known := s.before.Message(s.before.Seq(c.UID))
	_, external := slices.BinarySearch(s.external, uid)
	if !known || external || s.unsure || !s.bits.Leads(s.before.FlagSet(old.Flags), s.to.FlagSet(c.Flags)) {
		return true, true // RFC 3501 §6.4.6: what somebody else did is told also after .SILENT
	}
	return false, c.ModSeq != old.ModSeq // RFC 7162 §3.1.3: MODSEQ is told also after .SILENT
}

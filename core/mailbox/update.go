package mailbox

import (
	"slices"

	"github.com/emersion/go-imap/v2"
)

// Update is what a session must be told to go from one view to a newer one.
type Update struct {
	From, To *View
	Expunged []SeqNum // in From, ascending
	Changed  []Changed
}

// Changed is a message of both views whose flags or modseq changed.
type Changed struct {
	Message        // Seq is that of Update.From; the values are the current ones
	FlagsSame bool // only the modseq changed
}

// Appended returns the number of messages of To that From did not have.
func (u *Update) Appended() uint32 {
	return u.To.Len() - (u.From.Len() - uint32(len(u.Expunged)))
}

// NewKeywords reports whether To has more keywords than From.
func (u *Update) NewKeywords() bool { return len(u.To.Keywords) != len(u.From.Keywords) }

// makeUpdate joins the steps between two views. Messages that came and went in between are not mentioned.
func makeUpdate(from, to *View, steps []*delta) *Update {
	u := &Update{From: from, To: to}
	var flagged, touched []uint32
	all := false
	for _, d := range steps {
		all = all || d.all
		for _, r := range d.expunged {
			if seq := from.Seq(imap.UID(r.uid)); seq != 0 {
				u.Expunged = append(u.Expunged, seq)
			}
		}
		flagged = append(flagged, d.flagged...)
		touched = append(touched, d.touched...)
	}
	slices.Sort(u.Expunged)
	if all { // which ones is not known any more: a client may be told what it knows
		flagged = to.UIDsOf(to.All())
	}
	uids := append(append([]uint32(nil), flagged...), touched...)
	slices.Sort(flagged)
	slices.Sort(uids)
	uids = slices.Compact(uids)
	u.Changed = slices.Grow(u.Changed, len(uids))
	was, is := from.Finder(), to.Finder()
	for _, uid := range uids {
		for len(flagged) > 0 && flagged[0] < uid {
			flagged = flagged[1:]
		}
		seq, now := was.Seq(imap.UID(uid)), is.Seq(imap.UID(uid))
		if seq == 0 || now == 0 {
			continue
		}
		m, _ := to.Message(now)
		m.Seq = seq
		u.Changed = append(u.Changed, Changed{Message: m, FlagsSame: len(flagged) == 0 || flagged[0] != uid})
	}
	return u
}

// beforeExpunge returns how many of the steps can be told without an EXPUNGE:
// those before the first that removes a message of a view with this UIDNEXT.
func beforeExpunge(steps []*delta, uidNext imap.UID) int {
	for i, d := range steps {
		if len(d.expunged) > 0 && imap.UID(d.expunged[0].uid) < uidNext {
			return i
		}
	}
	return len(steps)
}

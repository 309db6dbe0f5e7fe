package mailbox

import (
	"iter"
	"sort"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
)

// SeqNum is a message sequence number, from 1. It means something only together
// with a View.
type SeqNum uint32

// SeqRange is an ascending range of sequence numbers, both ends included.
type SeqRange struct{ First, Last SeqNum }

// Message is what a View knows of one message.
type Message struct {
	Seq    SeqNum
	UID    imap.UID
	Flags  FlagSetID // see View.FlagSet
	ModSeq uint64
}

// View is a mailbox at one version. It never changes and may be kept; all
// methods are safe for concurrent use.
type View struct {
	Version       uint64 // from 1, in steps of 1, per Mailbox
	MailboxID     [16]byte
	UIDValidity   uint32
	UIDNext       imap.UID
	FirstRecent   imap.UID // messages from here on are \Recent for nobody yet; see Recent
	HighestModSeq uint64
	Keywords      []string // by keyword number, as in FlagSet.Keywords; not to be changed

	chunkList
	table *flagTable
}

// Len returns the number of messages (EXISTS).
func (v *View) Len() uint32 { return v.count }

// Unseen returns the number of messages without \Seen.
func (v *View) Unseen() uint32 { return v.unseen }

// FirstUnseen returns the first message without \Seen, or 0.
func (v *View) FirstUnseen() SeqNum {
	for i, c := range v.chunks {
		if c.unseen == 0 {
			continue
		}
		for j, f := range c.flags {
			if !v.FlagSet(f).Seen() {
				return SeqNum(v.before[i]) + SeqNum(j) + 1
			}
		}
	}
	return 0
}

// FlagSet returns the set that an id of this mailbox stands for.
func (v *View) FlagSet(id FlagSetID) *FlagSet { return v.table.get(id) }

// Keyword returns the number of a keyword, without regard to case (RFC 3501
// §2.3.2), or -1 if no message of this mailbox can have it.
func (v *View) Keyword(name string) int {
	for k, n := range v.Keywords {
		if strings.EqualFold(n, name) {
			return k
		}
	}
	return -1
}

// chunkOf returns the chunk of a sequence number in [1, Len].
func (v *View) chunkOf(seq SeqNum) int {
	return sort.Search(len(v.before), func(i int) bool { return v.before[i] >= uint32(seq) }) - 1
}

// Message returns the message with a sequence number; ok is false if there is none.
func (v *View) Message(seq SeqNum) (m Message, ok bool) {
	if seq < 1 || uint32(seq) > v.count {
		return Message{}, false
	}
	i := v.chunkOf(seq)
	return v.chunks[i].message(int(uint32(seq)-v.before[i])-1, seq), true
}

func (c *chunk) message(i int, seq SeqNum) Message {
	return Message{Seq: seq, UID: imap.UID(c.uids[i]), Flags: c.flags[i], ModSeq: c.modseqs[i]}
}

// Seq returns the sequence number of a UID, or 0 if there is none.
func (v *View) Seq(uid imap.UID) SeqNum {
	seq := v.lowerBound(uid)
	if m, ok := v.Message(seq); ok && m.UID == uid {
		return seq
	}
	return 0
}

// Finder finds messages of a view by their UIDs: in one step if each is the next one of the view.
type Finder struct {
	v    *View
	next SeqNum
}

// Finder returns a Finder that expects the first message first.
func (v *View) Finder() Finder { return Finder{v, 1} }

// Seq is View.Seq.
func (f *Finder) Seq(uid imap.UID) SeqNum {
	seq := f.next
	if m, ok := f.v.Message(seq); !ok || m.UID != uid {
		if seq = f.v.Seq(uid); seq == 0 {
			return 0
		}
	}
	f.next = seq + 1
	return seq
}

// LastUID returns the largest UID, or 0 if the mailbox is empty.
func (v *View) LastUID() imap.UID {
	if len(v.lasts) == 0 {
		return 0
	}
	return imap.UID(v.lasts[len(v.lasts)-1])
}

// lowerBound returns the first message with a UID of at least uid, or Len+1.
func (v *View) lowerBound(uid imap.UID) SeqNum {
	i := v.find(0, uint32(uid))
	if i == len(v.chunks) {
		return SeqNum(v.count) + 1
	}
	return SeqNum(v.before[i]) + SeqNum(v.chunks[i].find(uint32(uid))) + 1
}

// Seqs resolves a set of sequence numbers. ok is false if it names a number
// that no message has; the numbers that exist are returned nevertheless.
// "*" in an empty mailbox names none (RFC 3501 §9: seq-number).
func (v *View) Seqs(set imapwire.NumSet) (rs []SeqRange, ok bool) {
	ok = true
	for _, r := range set.Ranges(v.count) {
		if r.Start > v.count {
			return rs, false
		}
		if r.Stop > v.count {
			r.Stop, ok = v.count, false
		}
		rs = append(rs, SeqRange{SeqNum(r.Start), SeqNum(r.Stop)})
	}
	if len(rs) == 0 {
		ok = false
	}
	return rs, ok
}

// UIDs resolves a set of UIDs to the sequence numbers of those that exist; the
// others are ignored without an error (RFC 3501 §6.4.8).
func (v *View) UIDs(set imapwire.NumSet) []SeqRange {
	var rs []SeqRange
	for _, r := range set.Ranges(uint32(v.LastUID())) {
		first := v.lowerBound(imap.UID(r.Start))
		end := SeqNum(v.count) + 1
		if r.Stop != ^uint32(0) {
			end = v.lowerBound(imap.UID(r.Stop + 1))
		}
		if first >= end {
			continue
		}
		if n := len(rs); n > 0 && rs[n-1].Last+1 == first {
			rs[n-1].Last = end - 1
		} else {
			rs = append(rs, SeqRange{first, end - 1})
		}
	}
	return rs
}

// All returns the range of all messages, empty for an empty mailbox.
func (v *View) All() []SeqRange {
	if v.count == 0 {
		return nil
	}
	return []SeqRange{{1, SeqNum(v.count)}}
}

// Messages iterates over ascending ranges, as Seqs and UIDs return them.
func (v *View) Messages(rs []SeqRange) iter.Seq[Message] {
	return v.messages(rs, func(*chunk) bool { return true })
}

// Newer is Messages of those with a modseq above since, 0 = all. It hardly looks at what lies between them.
func (v *View) Newer(rs []SeqRange, since uint64) iter.Seq[Message] {
	if since == 0 {
		return v.Messages(rs)
	}
	return only(v.messages(rs, func(c *chunk) bool { return c.highest > since }), func(m *Message) bool { return m.ModSeq > since })
}

// Deleted is Messages of those with \Deleted. It hardly looks at what lies between them.
func (v *View) Deleted(rs []SeqRange) iter.Seq[Message] {
	return only(v.messages(rs, func(c *chunk) bool { return c.deleted > 0 }),
		func(m *Message) bool { return v.FlagSet(m.Flags).System&backend.FlagDeleted != 0 })
}

// only leaves out those that are not wanted.
func only(all iter.Seq[Message], wanted func(*Message) bool) iter.Seq[Message] {
	return func(yield func(Message) bool) {
		for m := range all {
			if wanted(&m) && !yield(m) {
				return
			}
		}
	}
}

// messages iterates over those messages of ranges that lie in chunks that are wanted.
func (v *View) messages(rs []SeqRange, wanted func(*chunk) bool) iter.Seq[Message] {
	return func(yield func(Message) bool) {
		for _, r := range rs {
			if r.First < 1 || r.First > r.Last || uint32(r.First) > v.count {
				continue
			}
			last := min(r.Last, SeqNum(v.count))
			for i, seq := v.chunkOf(r.First), r.First; seq <= last; i++ {
				c := v.chunks[i]
				if !wanted(c) {
					seq = SeqNum(v.before[i]) + SeqNum(c.len()) + 1
					continue
				}
				for j := int(uint32(seq) - v.before[i] - 1); j < c.len() && seq <= last; j++ {
					if !yield(c.message(j, seq)) {
						return
					}
					seq++
				}
			}
		}
	}
}

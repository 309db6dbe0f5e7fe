package mdbox

import (
	"github.com/roostmail/roost/mdbox/index"
)

// Status holds the values of STATUS.
type Status struct {
	GUID          [16]byte
	Messages      uint32
	Recent        uint32
	Unseen        uint32
	Deleted       uint32 // messages with \Deleted; CachedStatus does not know them
	UIDNext       uint32
	UIDValidity   uint32
	HighestModSeq uint64
	Size          uint64 // sum of RFC822.SIZE, if it was asked for
}

// Status brings the mailbox up to date and returns its values. With size, it
// may have to look at every message; one whose size is not known because it is damaged counts as empty.
func (b *Mailbox) Status(size bool) (Status, error) {
	b.mu.Lock()
	s, err := b.refreshFlags()
	if err != nil {
		b.mu.Unlock()
		return Status{}, err
	}
	recent, _ := s.Find(s.FirstRecentUID())
	st := Status{
		GUID:          b.guid(s),
		Messages:      uint32(s.Len()),
		Recent:        uint32(s.Len() - recent),
		Unseen:        uint32(s.Len()) - flagged(s, index.FlagSeen),
		Deleted:       flagged(s, index.FlagDeleted),
		UIDNext:       s.NextUID(),
		UIDValidity:   s.UIDValidity(),
		HighestModSeq: s.HighestModSeq(),
	}
	if !size {
		b.mu.Unlock()
		return st, nil
	}
	sum, rest := knownSize(s)
	rest = append([]uint32(nil), rest...)
	b.mu.Unlock()
	more, err := b.sumSizes(rest)
	st.Size = sum + more
	return st, err
}

// DeletedSize returns the sum of the sizes of messages with \Deleted; one whose size is not known because it is damaged counts as empty.
func (b *Mailbox) DeletedSize() (uint64, error) {
	b.mu.Lock()
	s, err := b.refreshFlags()
	var uids []uint32
	if err == nil {
		for i, f := range s.Flags() {
			if f&index.FlagDeleted != 0 {
				uids = append(uids, s.UIDs()[i])
			}
		}
	}
	b.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return b.sumSizes(uids)
}

// flagged returns how many messages have a flag.
func flagged(s *index.State, flag uint8) uint32 {
	n := uint32(0)
	for _, f := range s.Flags() {
		if f&flag != 0 {
			n++
		}
	}
	return n
}

// knownSize returns the size of the messages of which the index keeps the sum,
// and the UIDs of those above them. The sum counts only if it is of as many
// messages as there are: an expunge by a process that does not keep it makes it wrong.
func knownSize(s *index.State) (sum uint64, rest []uint32) {
	e := s.Ext(index.ExtVSizeHeader)
	if e == nil {
		return 0, s.UIDs()
	}
	h, err := index.DecodeVSizeHeader(e.Header())
	_, n := s.FindRange(1, h.HighestUID)
	if err != nil || n != int(h.MessageCount) {
		return 0, s.UIDs()
	}
	return h.VSize, s.UIDs()[n:]
}

func (b *Mailbox) sumSizes(uids []uint32) (sum uint64, err error) {
	if len(uids) == 0 {
		return 0, nil
	}
	ms, err := b.Messages(uids)
	if err != nil {
		return 0, err
	}
	defer ms.Close()
	for ms.Next() {
		if n, err := ms.Message().Size(); err == nil {
			sum += n
		}
	}
	return sum, ms.Err()
}

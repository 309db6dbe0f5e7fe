package mdbox

import (
	"fmt"

	"github.com/roostmail/roost/mdbox/index"
)

// Columns holds messages column by column, ascending by UID. UIDs and Flags
// have one element for each; Flags are those of package index, without the private ones.
type Columns struct {
	UIDs  []uint32
	Flags []uint8
	// Keywords has KeywordWords words for each message: bit k%64 of word k/64 stands for keyword k.
	Keywords     []uint64
	KeywordWords int
	// LowKeywords, if not nil, stands for Keywords, which is nil then, and KeywordWords is 1: the low byte of each message's word, whose other bytes are 0.
	LowKeywords []uint8
	// ModSeqs is nil if the mailbox does not have them: then every message has the mailbox's HighestModSeq.
	ModSeqs []uint64
}

// HasKeyword reports whether message i has keyword number k.
func (c *Columns) HasKeyword(i, k int) bool {
	if c.LowKeywords != nil {
		return k < 8 && c.LowKeywords[i]>>k&1 != 0
	}
	return k < 64*c.KeywordWords && c.Keywords[i*c.KeywordWords+k/64]>>(k%64)&1 != 0
}

// Snapshot is the whole state of a mailbox at one moment. It belongs to the caller.
type Snapshot struct {
	GUID           [16]byte
	UIDValidity    uint32 // not 0
	UIDNext        uint32
	FirstRecentUID uint32 // messages from here on are \Recent for the next session
	HighestModSeq  uint64 // at least 1
	Keywords       []string
	Messages       Columns
	Position       Position
	// Damage says what of the index is damaged and could not be taken into account.
	Damage []string
}

// messageFlags are the flags that a client sees.
const messageFlags = index.FlagAnswered | index.FlagFlagged | index.FlagDeleted | index.FlagSeen | index.FlagDraft

// Snapshot brings the mailbox up to date and returns a copy of its state.
// Errors: ErrNotFound if the mailbox was deleted, ErrNotInitialised.
func (b *Mailbox) Snapshot() (*Snapshot, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, err := b.refreshFlags()
	if err != nil {
		return nil, err
	}
	snap := &Snapshot{
		UIDValidity:    s.UIDValidity(),
		UIDNext:        s.NextUID(),
		FirstRecentUID: s.FirstRecentUID(),
		HighestModSeq:  s.HighestModSeq(),
		Keywords:       s.Keywords(),
		Position:       b.position(s),
		Damage:         b.damage(),
	}
	snap.GUID = snap.Position.Mailbox
	snap.Messages = allColumns(s)
	return snap, nil
}

func (b *Mailbox) damage() []string {
	problems, more := b.index.Damage()
	if len(problems) == 0 {
		return nil
	}
	res := make([]string, 0, len(problems)+1)
	for _, p := range problems {
		res = append(res, p.Error())
	}
	if more > 0 {
		res = append(res, fmt.Sprintf("and %d more problems", more))
	}
	return res
}

func newColumns(s *index.State, n int) Columns {
	c := Columns{UIDs: make([]uint32, 0, n), Flags: make([]uint8, 0, n), KeywordWords: s.KeywordWords()}
	switch {
	case s.FewKeywords():
		c.LowKeywords = make([]uint8, 0, n)
	case c.KeywordWords > 0:
		c.Keywords = make([]uint64, 0, n*c.KeywordWords)
	}
	if s.HasModSeqs() {
		c.ModSeqs = make([]uint64, 0, n)
	}
	return c
}

func allColumns(s *index.State) Columns {
	c := newColumns(s, s.Len())
	c.UIDs = append(c.UIDs, s.UIDs()...)
	c.Flags = append(c.Flags, s.Flags()...)
	for i := range c.Flags {
		c.Flags[i] &= messageFlags
	}
	switch {
	case c.LowKeywords != nil:
		c.LowKeywords = s.AppendLowKeywordColumn(c.LowKeywords)
	case c.KeywordWords > 0:
		c.Keywords = s.AppendKeywordColumn(c.Keywords)
	}
	if s.HasModSeqs() {
		c.ModSeqs = s.AppendModSeqColumn(c.ModSeqs)
	}
	return c
}

// add appends message i of s, which has KeywordWords words of keywords.
func (c *Columns) add(s *index.State, i int) {
	c.UIDs = append(c.UIDs, s.UIDs()[i])
	c.Flags = append(c.Flags, s.Flags()[i]&messageFlags)
	switch {
	case c.LowKeywords != nil:
		var word [1]uint64
		c.LowKeywords = append(c.LowKeywords, byte(s.AppendKeywords(word[:0], i, 1)[0]))
	case c.KeywordWords > 0:
		c.Keywords = s.AppendKeywords(c.Keywords, i, c.KeywordWords)
	}
	if s.HasModSeqs() {
		c.ModSeqs = append(c.ModSeqs, s.ModSeq(i))
	}
}

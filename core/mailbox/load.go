package mailbox

import (
	"errors"
	"slices"

	"github.com/roostmail/roost/core/backend"
)

// checkColumns states the rules of backend.Columns that this package relies on.
func checkColumns(c *backend.Columns, after uint32) error {
	if err := c.CheckLengths(); err != nil {
		return badAnswer(err.Error())
	}
	for _, uid := range c.UIDs {
		if uid <= after {
			return badAnswer("UIDs do not ascend")
		}
		after = uid
	}
	return nil
}

// badAnswer is an answer of the storage plugin that breaks its contract.
func badAnswer(rule string) error {
	return &backend.Error{Kind: backend.KindInternal, Message: "storage gave an invalid answer", Detail: rule, Cause: errBadAnswer}
}

var errBadAnswer = errors.New("a rule of the protocol is broken")

// blame adds the plugin's name to an error of badAnswer, for the log.
func (r *Registry) blame(err error) error {
	var b *backend.Error
	if !errors.As(err, &b) || b.Cause != errBadAnswer {
		return err
	}
	return &backend.Error{Kind: b.Kind, Message: b.Message, Detail: "plugin " + r.storage.Info().Name + ": " + b.Detail, Cause: errBadAnswer}
}

// columns reads messages out of backend.Columns.
type columns struct {
	*backend.Columns
	t       *flagTable
	kwmap   []int
	highest uint64 // of a message without modseq

	met *[metSlots]metSet // sets with keywords that were met, each in the slot of its hash; nil: none yet
}

// metSlots is how many sets columns remembers: a mailbox has few, however many messages.
const metSlots = 64

// metSet is a set as storage has it, and its id. row is nil in an empty slot.
type metSet struct {
	row []uint64
	sys uint8
	id  FlagSetID
}

func newColumns(c *backend.Columns, t *flagTable, kwmap []int, highest uint64) *columns {
	return &columns{Columns: c, t: t, kwmap: kwmap, highest: highest}
}

func (c *columns) record(i int) record {
	return record{uid: c.UIDs[i], flags: c.flags(i), modseq: c.modseq(i)}
}

func (c *columns) modseq(i int) uint64 {
	if c.ModSeqs == nil {
		return c.highest
	}
	return c.ModSeqs[i]
}

// lowWords has each number that fits into a byte.
var lowWords = func() (words [256]uint64) {
	for i := range words {
		words[i] = uint64(i)
	}
	return words
}()

// keywords returns the words of a message.
func (c *columns) keywords(i int) []uint64 {
	if c.LowKeywords != nil {
		w := int(c.LowKeywords[i])
		return lowWords[w : w+1 : w+1]
	}
	return c.Keywords[i*c.KeywordWords:][:c.KeywordWords]
}

func (c *columns) flags(i int) FlagSetID {
	row := c.keywords(i)
	if allZero(row) {
		return c.t.intern(c.Flags[i], nil)
	}
	sys := c.Flags[i]
	if c.met == nil {
		c.met = new([metSlots]metSet)
	}
	set := &c.met[slotOf(sys, row)]
	if set.row == nil || set.sys != sys || !equalWords(set.row, row) {
		*set = metSet{row: row, sys: sys}
		if c.kwmap != nil {
			row = translate(row, c.kwmap)
		}
		set.id = c.t.intern(sys, row)
	}
	return set.id
}

// manyMessages is for how many a table of all sets that there can be is worth its making.
const manyMessages = 4096

// allFlags returns the sets of all messages.
func (c *columns) allFlags() []FlagSetID {
	ids := make([]FlagSetID, len(c.Flags))
	switch {
	case c.LowKeywords != nil && len(ids) > manyMessages:
		known := make([]FlagSetID, len(plainSets)<<8) // by flags and keywords; each id plus 1, 0 = not met
		low := c.LowKeywords[:len(ids)]
		for i, f := range c.Flags[:len(ids)] {
			k := int(f&allSystemFlags)<<8 | int(low[i])
			id := known[k]
			if id == 0 {
				id = c.flags(i) + 1
				known[k] = id
			}
			ids[i] = id - 1
		}
		return ids
	case c.KeywordWords > 0:
		for i := range ids {
			ids[i] = c.flags(i)
		}
		return ids
	}
	var known [256]FlagSetID // by system flags
	for f := range known {
		known[f] = c.t.intern(uint8(f), nil)
	}
	for i, f := range c.Flags {
		ids[i] = known[f]
	}
	return ids
}

// slotOf returns where columns.met has a set.
func slotOf(sys uint8, row []uint64) int {
	h := uint64(sys)
	for _, w := range row {
		h = (h ^ w) * 0x9e3779b97f4a7c15
	}
	return int(h>>58) % metSlots
}

func allZero(row []uint64) bool {
	for _, w := range row {
		if w != 0 {
			return false
		}
	}
	return true
}

func equalWords(a, b []uint64) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// fromSnapshot makes the view of a snapshot. Its UID and modseq columns become the chunks'.
func fromSnapshot(s *backend.Snapshot, t *flagTable, version uint64) (*View, error) {
	if s.UIDValidity == 0 {
		return nil, badAnswer("UIDVALIDITY is 0")
	}
	if err := checkColumns(&s.Messages, 0); err != nil {
		return nil, err
	}
	cols := newColumns(&s.Messages, t, t.keywordMap(s.Keywords), s.HighestModSeq)
	n := len(cols.UIDs)
	flags := cols.allFlags()
	var alike []uint64 // of all chunks, if no message has a modseq of its own
	if cols.ModSeqs == nil {
		alike = slices.Repeat([]uint64{s.HighestModSeq}, min(n, chunkSize))
	}
	chunks := make([]*chunk, 0, (n+chunkSize-1)/chunkSize)
	for from := 0; from < n; from += chunkSize {
		to := min(from+chunkSize, n)
		c := &chunk{uids: cols.UIDs[from:to:to], flags: flags[from:to:to]}
		if alike != nil {
			c.modseqs, c.highest = alike[:to-from:to-from], s.HighestModSeq
		} else {
			c.modseqs = cols.ModSeqs[from:to:to]
			c.highest = slices.Max(c.modseqs)
		}
		for _, f := range cols.Flags[from:to] {
			c.unseen += uint32(f&backend.FlagSeen/backend.FlagSeen ^ 1)
			c.deleted += uint32(f & backend.FlagDeleted / backend.FlagDeleted)
		}
		chunks = append(chunks, c)
	}
	t.publish()
	v := &View{
		Version:       version,
		MailboxID:     s.MailboxID,
		UIDValidity:   s.UIDValidity,
		UIDNext:       max(s.UIDNext, 1),
		FirstRecent:   s.FirstRecentUID,
		HighestModSeq: max(s.HighestModSeq, 1),
		Keywords:      t.keywords[:len(t.keywords):len(t.keywords)],
		table:         t,
		chunkList:     listOf(chunks),
	}
	if n > 0 {
		// A damaged header must not make the next message's UID one that is in use.
		v.UIDNext = max(v.UIDNext, uidAfter(cols.UIDs[n-1]))
	}
	return v, nil
}

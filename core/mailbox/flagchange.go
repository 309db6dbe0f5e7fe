package mailbox

import (
	"slices"

	"github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
)

// FlagChange says what a session has done to the flags of messages.
type FlagChange struct {
	Mode     backend.StoreMode
	System   uint8
	Keywords []string
}

// Bits returns the change with the keyword numbers of a view. Keywords that it does not have are left out.
func (c FlagChange) Bits(v *View) FlagBits {
	b := FlagBits{mode: c.Mode, system: c.System}
	for _, name := range c.Keywords {
		k := v.Keyword(name)
		if k < 0 {
			continue
		}
		for len(b.keywords) <= k/64 {
			b.keywords = append(b.keywords, 0)
		}
		b.keywords[k/64] |= 1 << (k % 64)
	}
	return b
}

// FlagBits is a FlagChange in the keyword numbers of a mailbox.
type FlagBits struct {
	mode     backend.StoreMode
	system   uint8
	keywords []uint64
}

// Leads reports whether the change, and nothing else, makes one set of flags from another.
func (b FlagBits) Leads(from, to *FlagSet) bool {
	if change(b.mode, uint64(from.System), uint64(b.system)) != uint64(to.System) {
		return false
	}
	for w := range max(len(from.Keywords), len(to.Keywords), len(b.keywords)) {
		if change(b.mode, word(from.Keywords, w), word(b.keywords, w)) != word(to.Keywords, w) {
			return false
		}
	}
	return true
}

func change(mode backend.StoreMode, have, given uint64) uint64 {
	switch mode {
	case backend.StoreAdd:
		return have | given
	case backend.StoreRemove:
		return have &^ given
	}
	return given
}

// word returns a word of keyword bits, of which there are as many zeroes as one likes.
func word(words []uint64, w int) uint64 {
	if w < len(words) {
		return words[w]
	}
	return 0
}

// Flagged returns the UIDs, ascending, of messages whose flags changed between two versions. ok is false if that is not known any more.
func (m *Mailbox) Flagged(from, to uint64) (uids []uint32, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if from >= to {
		return nil, true
	}
	if !m.journal.has(from) || !m.journal.has(to) {
		return nil, false
	}
	for _, d := range m.journal.between(from, to) {
		if d.all {
			return nil, false
		}
		uids = append(uids, d.flagged...)
	}
	slices.Sort(uids)
	return slices.Compact(uids), true
}

// UIDsOf returns the UIDs of the messages in ranges, ascending.
func (v *View) UIDsOf(ranges []SeqRange) []uint32 {
	var uids []uint32
	for m := range v.Messages(ranges) {
		uids = append(uids, uint32(m.UID))
	}
	return uids
}

// Existing returns those of some UIDs, ascending, that a view has.
func (v *View) Existing(uids []uint32) []uint32 {
	out := make([]uint32, 0, len(uids))
	f := v.Finder()
	for _, uid := range uids {
		if f.Seq(imap.UID(uid)) != 0 {
			out = append(out, uid)
		}
	}
	return out
}

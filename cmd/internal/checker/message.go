package checker

import (
	"slices"
	"strings"
)

// message is one message of the selected mailbox, as a connection knows it.
type message struct {
	uid    uint32   // 0 = not told yet
	flags  []string // sorted, without \Recent
	known  bool     // flags is what the client was told
	recent bool
	modseq uint64 // the highest that was told, 0 = none
	sure   bool   // flags are those of modseq: nothing was told or done without one since
	gone   bool   // expunged
	tick   int    // the model's, when flags or modseq were last told, or changed
}

func (m *message) has(flag string) bool { return slices.Contains(m.flags, flag) }

// flagList returns flags in the order in which models compare them, and whether \Recent was one of them.
func flagList(names []string) (flags []string, recent bool) {
	flags = []string{}
	for _, f := range names {
		if strings.EqualFold(f, `\Recent`) {
			recent = true
			continue
		}
		flags = append(flags, f)
	}
	slices.Sort(flags)
	return flags, recent
}

// storeMode is what STORE does to flags.
type storeMode uint8

const (
	storeReplace storeMode = iota
	storeAdd
	storeRemove
)

// stored returns what a STORE makes of flags, sorted.
func stored(flags []string, mode storeMode, with []string) []string {
	switch mode {
	case storeAdd:
		flags = append(slices.Clone(flags), with...)
	case storeRemove:
		flags = slices.DeleteFunc(slices.Clone(flags), func(f string) bool { return slices.Contains(with, f) })
	default:
		flags = slices.Clone(with)
	}
	slices.Sort(flags)
	return slices.Compact(flags)
}

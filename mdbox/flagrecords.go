package mdbox

import (
	"strings"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/translog"
)

// flagWriter makes the records of a FlagChange, for those messages only that it changes.
type flagWriter struct {
	s      *index.State
	change *FlagChange

	flags    translog.FlagUpdates
	lastFlag int // number of the message at the end of flags
	keywords []keywordChange
}

// keywordChange is what happens to one keyword.
type keywordChange struct {
	name   string
	number int  // -1: the mailbox does not have it yet
	wanted bool // it is one of FlagChange.Keywords

	changed translog.KeywordUpdate
	last    int // number of the message at the end of changed.UIDs
}

func newFlagWriter(s *index.State, c *FlagChange) *flagWriter {
	w := &flagWriter{s: s, change: c}
	if c.Protected.Keywords {
		return w
	}
	known := s.Keywords()
	for _, name := range c.Keywords {
		k := keywordChange{name: name, number: -1, wanted: true}
		for number, other := range known {
			if strings.EqualFold(name, other) {
				k.number = number
			}
		}
		w.keywords = append(w.keywords, k)
	}
	if c.Mode != ReplaceFlags {
		return w
	}
	for number, name := range known { // the others are taken away
		if !w.handles(number) {
			w.keywords = append(w.keywords, keywordChange{name: name, number: number})
		}
	}
	return w
}

func (w *flagWriter) handles(number int) bool {
	for _, k := range w.keywords {
		if k.number == number {
			return true
		}
	}
	return false
}

// message adds what changes for message i. Messages come in ascending order.
func (w *flagWriter) message(i int) {
	w.changeFlags(i)
	if len(w.keywords) == 0 {
		return
	}
	var words [8]uint64
	has := w.s.AppendKeywords(words[:0], i, w.s.KeywordWords())
	for n := range w.keywords {
		k := &w.keywords[n]
		set := k.number >= 0 && has[k.number/64]&(1<<(k.number%64)) != 0
		want := k.wanted && w.change.Mode != RemoveFlags
		if set == want {
			continue
		}
		k.changed.Remove = !want
		k.changed.UIDs, k.last = extend(k.changed.UIDs, k.last, i, w.s)
	}
}

func (w *flagWriter) changeFlags(i int) {
	open := messageFlags &^ w.change.Protected.Flags
	old, flags := w.s.Flags()[i]&open, w.change.Flags&open
	var add, remove uint8
	switch w.change.Mode {
	case AddFlags:
		add = flags &^ old
	case RemoveFlags:
		remove = flags & old
	default:
		add, remove = flags&^old, old&^flags
	}
	if add|remove == 0 {
		return
	}
	uid := w.s.UIDs()[i]
	if n := len(w.flags); n > 0 && w.lastFlag == i-1 && w.flags[n-1].Add == add && w.flags[n-1].Remove == remove {
		w.flags[n-1].UIDs.Last = uid
	} else {
		w.flags = append(w.flags, translog.FlagUpdate{UIDs: translog.UIDRange{First: uid, Last: uid}, Add: add, Remove: remove})
	}
	w.lastFlag = i
}

// extend adds message i to ranges, the last of which ends with message last.
func extend(ranges []translog.UIDRange, last, i int, s *index.State) ([]translog.UIDRange, int) {
	uid := s.UIDs()[i]
	if n := len(ranges); n > 0 && last == i-1 {
		ranges[n-1].Last = uid
		return ranges, i
	}
	return append(ranges, translog.UIDRange{First: uid, Last: uid}), i
}

// records returns the records. They are not external: whoever syncs the mailbox next has seen them.
func (w *flagWriter) records() (records []translog.NewRecord) {
	if len(w.flags) > 0 {
		records = append(records, translog.NewRecord{Payload: w.flags})
	}
	for _, k := range w.keywords {
		if len(k.changed.UIDs) > 0 {
			k.changed.Name = k.name
			records = append(records, translog.NewRecord{Payload: k.changed})
		}
	}
	return records
}

package maildir

import (
	"math/bits"

	"github.com/roostmail/roost/mdbox/translog"
)

// flagRecords collects changes of flags and keywords, of messages with ascending UIDs.
type flagRecords struct {
	updates translog.FlagUpdates
	added   [MaxKeywords][]translog.UIDRange // by letter
	removed [MaxKeywords][]translog.UIDRange
}

func newFlagRecords() *flagRecords { return &flagRecords{} }

func (r *flagRecords) flags(uid uint32, add, remove uint8) {
	if add|remove == 0 {
		return
	}
	if n := len(r.updates); n > 0 {
		if u := &r.updates[n-1]; u.UIDs.Last == uid-1 && u.Add == add && u.Remove == remove {
			u.UIDs.Last = uid
			return
		}
	}
	r.updates = append(r.updates, translog.FlagUpdate{UIDs: translog.UIDRange{First: uid, Last: uid}, Add: add, Remove: remove})
}

func (r *flagRecords) keywords(uid uint32, add, remove Letters) {
	for ; add != 0; add &= add - 1 {
		extend(&r.added[bits.TrailingZeros32(uint32(add))], uid)
	}
	for ; remove != 0; remove &= remove - 1 {
		extend(&r.removed[bits.TrailingZeros32(uint32(remove))], uid)
	}
}

// extend adds a UID above all others to ranges.
func extend(ranges *[]translog.UIDRange, uid uint32) {
	if n := len(*ranges); n > 0 && (*ranges)[n-1].Last == uid-1 {
		(*ranges)[n-1].Last = uid
		return
	}
	*ranges = append(*ranges, translog.UIDRange{First: uid, Last: uid})
}

func (r *flagRecords) records(k *Keywords) (records []translog.NewRecord) {
	if len(r.updates) > 0 {
		records = append(records, done(r.updates))
	}
	for i := range MaxKeywords {
		if len(r.added[i]) > 0 {
			records = append(records, done(translog.KeywordUpdate{Name: k[i], UIDs: r.added[i]}))
		}
		if len(r.removed[i]) > 0 {
			records = append(records, done(translog.KeywordUpdate{Name: k[i], Remove: true, UIDs: r.removed[i]}))
		}
	}
	return records
}

// appendRecords returns the records that bring messages into the index.
func appendRecords(messages []appended, k *Keywords) (records []translog.NewRecord) {
	if len(messages) == 0 {
		return nil
	}
	appends := make(translog.Appends, len(messages))
	keywords := newFlagRecords()
	for i, m := range messages {
		appends[i] = translog.AppendedMessage{UID: m.uid, Flags: m.flags}
		keywords.keywords(m.uid, m.letters, 0)
	}
	return append([]translog.NewRecord{done(appends)}, keywords.records(k)...)
}

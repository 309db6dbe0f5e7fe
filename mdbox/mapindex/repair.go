package mapindex

import (
	"maps"
	"slices"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/translog"
)

// LockedIndex returns the map whose index was locked for repair.
func LockedIndex(x *index.Locked) *Locked { return &Locked{&Map{x.Index()}, x} }

// Entries calls f for each message of a map's state, ascending by map UID, until f returns false. err is not nil for a record that is damaged.
func Entries(s *index.State, f func(uid UID, e Entry, err error) bool) {
	mapExt, refExt := s.Ext(extMap), s.Ext(extRef)
	for i, uid := range s.UIDs() {
		e, err := entry(mapExt, refExt, i)
		if !f(UID(uid), e, err) {
			return
		}
	}
}

// HeaderOf returns the header in a map's state; what is damaged is zero.
func HeaderOf(s *index.State) Header {
	if e := s.Ext(extMap); e != nil {
		if h, err := DecodeHeader(e.Header()); err == nil {
			return h
		}
	}
	return Header{}
}

// Edit is what a repair changes in a map.
type Edit struct {
	New        []Entry // get the next map UIDs
	Moved      map[UID]Location
	References map[UID]uint16
	Gone       []UID
	Highest    uint32 // highest_file_id is at least this
	Next       UID    // new messages get map UIDs from here on, or from the next on if that is higher
}

// Empty reports whether e changes no message.
func (e *Edit) Empty() bool {
	return len(e.New) == 0 && len(e.Moved) == 0 && len(e.References) == 0 && len(e.Gone) == 0
}

// Apply changes the map in one durable transaction, and counts a rebuild, so that all who have the map open read it again.
func (l *Locked) Apply(e Edit) error {
	h := l.m.Header()
	h.HighestFileID = max(h.HighestFileID, e.Highest)
	h.RebuildCount++
	next := max(l.x.State().NextUID(), uint32(e.Next))
	var appends translog.Appends
	locations, counts := translog.NewExtRecUpdates(mapRecordSize), translog.NewExtRecUpdates(refRecordSize)
	for _, uid := range slices.Sorted(maps.Keys(e.Moved)) {
		locations.Add(uint32(uid), e.Moved[uid].Append(nil))
	}
	for _, uid := range slices.Sorted(maps.Keys(e.References)) {
		counts.Add(uint32(uid), AppendRefcount(nil, min(e.References[uid], maxRefcount)))
	}
	for i, n := range e.New {
		uid := next + uint32(i)
		appends = append(appends, translog.AppendedMessage{UID: uid})
		locations.Add(uid, n.Location.Append(nil))
		counts.Add(uid, AppendRefcount(nil, min(n.Refcount, maxRefcount)))
	}
	var records []translog.NewRecord
	if len(appends) > 0 {
		records = append(records, done(appends))
	}
	records = append(records, done(translog.ExtIntros{l.intro(extMap)}), done(translog.ExtHdrUpdates{{Data: h.Append(nil)}}))
	if next > l.x.State().NextUID() && len(appends) == 0 {
		records = append(records, done(index.NextUIDUpdate(next)))
	}
	if locations.Len() > 0 {
		records = append(records, done(locations))
	}
	if counts.Len() > 0 {
		records = append(records, done(translog.ExtIntros{l.intro(extRef)}), done(counts))
	}
	if len(e.Gone) > 0 {
		gone := make(translog.ExpungeGUIDs, len(e.Gone))
		for i, uid := range slices.Sorted(slices.Values(e.Gone)) {
			gone[i].UID = uint32(uid)
		}
		records = append(records, done(gone))
	}
	return l.x.Commit(true, records...)
}

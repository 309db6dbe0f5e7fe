// Package mapindex reads the map of an mdbox store, storage/dovecot.map.index:
// for each message of the store in which m.N file, where and how long it is, and
// how many mailboxes refer to it.
//
// The map is an index as any other (package index). The "UIDs" of its records
// are map UIDs, which the indexes of the mailboxes refer to:
//
//	mailbox record --map UID--> map record {file_id, offset, size}, refcount --> m.<file_id> at offset
//
// A map UID and a file_id are never used again for something else, so an old
// answer is either still right or its file is gone: whoever finds the file
// missing refreshes the map and looks again (a purge has moved the message).
//
// Source: dovecot src/lib-storage/index/dbox-multi/mdbox-map.c.
package mapindex

import (
	"slices"

	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/vfs"
)

// Prefix is the name of the map's snapshot, below the storage directory.
const Prefix = "dovecot.map.index"

// UID is a map UID: the number of a message in a store. It is not 0.
type UID uint32

// Entry is what the map knows of a message.
type Entry struct {
	Location
	Refcount uint16 // references from mailboxes; 0 = to be purged
}

// Map is an open map. It belongs to one owner, who calls its methods one at a
// time, as for an index.Index.
type Map struct {
	x *index.Index
}

// Open reads the map in the directory storage (mdbox root + "/storage", or that
// below INDEX=). Of o, FS and the limits are used. Errors are those of index.Open:
// a store in which nothing was saved yet has no map, which is fs.ErrNotExist.
func Open(storage string, o index.Options) (*Map, error) {
	o.Dir, o.Prefix = storage, Prefix
	x, err := index.Open(o)
	if err != nil {
		return nil, err
	}
	return &Map{x}, nil
}

// Refresh brings the map up to date and tells whether it changed; see index.Index.Refresh.
func (m *Map) Refresh() (changed bool, err error) { return m.x.Refresh() }

// Index is the index below the map, for what has no method here.
func (m *Map) Index() *index.Index { return m.x }

// UIDValidity is what the header mdbox-hdr of every mailbox of the store refers to.
func (m *Map) UIDValidity() uint32 { return m.x.State().UIDValidity() }

// Header returns the header of the map; it is zero before the first save.
func (m *Map) Header() Header {
	return HeaderOf(m.x.State())
}

// Len is the number of messages in the map, including those to be purged.
func (m *Map) Len() int { return m.x.State().Len() }

// Lookup returns the entry of a map UID. found is false if there is none: it was
// purged, or the map has to be refreshed. The error is a *vfs.CorruptError for a
// record that is damaged.
func (m *Map) Lookup(uid UID) (e Entry, found bool, err error) {
	s := m.x.State()
	i, found := s.Find(uint32(uid))
	if !found {
		return Entry{}, false, nil
	}
	e, err = entry(s.Ext(extMap), s.Ext(extRef), i)
	if err != nil {
		return Entry{}, true, vfs.At(vfs.Corrupt(0, "map UID %d: %v", uid, err), m.x.Path(), 0)
	}
	return e, true, nil
}

// entry decodes record i. A record without reference count has the count 0. Longer records than usual are what Dovecot's own repair of a
// damaged map can leave, and what it reads without a word.
func entry(mapExt, refExt *index.Ext, i int) (Entry, error) {
	if mapExt == nil {
		return Entry{}, vfs.Corrupt(0, "no extension %q", extMap)
	}
	l, err := DecodeLocation(atMost(mapExt.Record(i), mapRecordSize))
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Location: l}
	if refExt != nil {
		if e.Refcount, err = DecodeRefcount(atMost(refExt.Record(i), refRecordSize)); err != nil {
			return Entry{}, err
		}
	}
	return e, nil
}

func atMost(b []byte, n int) []byte { return b[:min(len(b), n)] }

// All calls f for each message of the map, ascending by map UID, until f returns
// false. err is not nil for a record that is damaged.
func (m *Map) All(f func(uid UID, e Entry, err error) bool) {
	Entries(m.x.State(), func(uid UID, e Entry, err error) bool {
		if err != nil {
			err = vfs.At(vfs.Corrupt(0, "map UID %d: %v", uid, err), m.x.Path(), 0)
		}
		return f(uid, e, err)
	})
}

// Backward calls f for each message with a map UID below below, descending, until f returns false. err is as for All.
func (m *Map) Backward(below UID, f func(uid UID, e Entry, err error) bool) {
	s := m.x.State()
	mapExt, refExt := s.Ext(extMap), s.Ext(extRef)
	end, _ := s.Find(uint32(below))
	for i, uid := range slices.Backward(s.UIDs()[:end]) {
		e, err := entry(mapExt, refExt, i)
		if err != nil {
			err = vfs.At(vfs.Corrupt(0, "map UID %d: %v", uid, err), m.x.Path(), 0)
		}
		if !f(UID(uid), e, err) {
			return
		}
	}
}

package users

import (
	"encoding/binary"
	"hash/maphash"
	"slices"

	"github.com/roostmail/roost/core/slab"
)

// Names of the tables.
const (
	tableUsers  = "roost users"
	tableTexts  = "roost user texts"
	tableFields = "roost user fields"
)

// Tables calls f with the name and the memfd of each table. Without slab.Shared, and with the race detector, these are -1.
func (u *Users) Tables(f func(name string, fd int)) {
	f(tableUsers, u.table.FD())
	f(tableTexts, u.blobs.FD())
	f(tableFields, u.fields.FD())
}

// Attached is the table that another process has left, before its references are known.
type Attached struct {
	u      *Users
	fields int // memfd
}

// Attach takes over the tables of another process, out of the memfds by name, or returns nil if they are not there. Restore must follow.
func Attach(tables map[string]int, o slab.Option) (*Attached, error) {
	for _, name := range [...]string{tableUsers, tableTexts, tableFields} {
		if _, ok := tables[name]; !ok {
			return nil, nil
		}
	}
	a := &Attached{u: &Users{seed: maphash.MakeSeed(), option: o}, fields: tables[tableFields]}
	var err error
	fd := tables[tableUsers]
	delete(tables, tableUsers)
	if a.u.table, err = slab.Attach[record](fd, maxUsers, o); err != nil {
		return nil, err
	}
	fd = tables[tableTexts]
	delete(tables, tableTexts)
	if a.u.blobs, err = slab.AttachBlobs(fd, maxUsers*cellsPerUser, o); err != nil {
		return nil, err
	}
	delete(tables, tableFields)
	return a, a.u.newIndex()
}

// Users returns the table, of which nothing may be used before Restore.
func (a *Attached) Users() *Users { return a.u }

// Restore keeps the entries that are referred to, as refs says, and are not damaged. The others are none any more.
func (a *Attached) Restore(refs func(id uint32) (sessions, holds uint32)) error {
	u := a.u
	u.mu.Lock()
	defer u.mu.Unlock()
	fieldRefs := map[uint32]uint32{}
	for id := uint32(1); id <= u.table.Slots(); id++ {
		r := u.table.At(id)
		if r.Fields == 0 { // most of a chunk: it is left as it is
			continue
		}
		r.Sessions, r.Holds = refs(id)
		if r.Sessions == 0 && r.Holds == 0 || r.NameLen > inlineName && r.NameLen != longName {
			*r = record{}
			continue
		}
		fieldRefs[r.Fields]++
	}
	var err error
	if u.fields, err = slab.AttachNames(a.fields, maxUsers, u.blobs, u.option, func(id uint32) uint32 { return fieldRefs[id] }); err != nil {
		return err
	}
	// What is damaged goes first, so that nothing is taken to be in use by it that is another one's.
	for id := uint32(1); id <= u.table.Slots(); id++ {
		if r := u.table.At(id); r.Fields != 0 && !u.decodes(r) {
			u.fields.Drop(r.Fields)
			*r = record{}
		}
	}
	damaged := u.blobs.Restore(func(yield func(uint32) bool) {
		for id := uint32(1); id <= u.table.Slots(); id++ {
			if r := u.table.At(id); r.Fields != 0 && r.nameBlob() != 0 && !yield(r.nameBlob()) {
				return
			}
		}
		u.fields.Each(yield)
	})
	noFields := u.fields.Discard(damaged)
	u.table.Restore(func(id uint32, r *record) bool {
		if r.Fields == 0 {
			return false
		}
		named := r.NameLen <= inlineName || r.nameBlob() != 0 && !slices.Contains(damaged, r.nameBlob())
		if !named || slices.Contains(noFields, r.Fields) {
			if named {
				u.freeName(r)
			}
			*r = record{}
			return false
		}
		r.Hash = u.hash(string(u.appendName(nil, r)))
		u.index.Add(id)
		if r.Sessions > 0 {
			u.loggedIn++
		}
		return true
	})
	return nil
}

// nameBlob returns the blob of a long name, else 0.
func (r *record) nameBlob() uint32 {
	if r.NameLen <= inlineName {
		return 0
	}
	return binary.LittleEndian.Uint32(r.Name[:])
}

// decodes reports whether an entry can be made a user. The caller holds mu.
func (u *Users) decodes(r *record) bool {
	fields := u.fields.Append(nil, r.Fields)
	if len(fields) == 0 { // there is no such set of fields: an empty one has its number of fields
		return false
	}
	name := string(u.appendName(nil, r))
	_, err := decodeFields(fields, name)
	return err == nil && r.Sum == sumOf(name, fields)
}

package users

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/slab"
)

const (
	// maxUsers is how many entries there can be, cellsPerUser how many cells of a blob they may have on average.
	maxUsers     = 1 << 26
	cellsPerUser = 4
	// cacheSize is how many decoded users are kept.
	cacheSize = 1024
)

// ErrFull: there are too many different users at a time.
var ErrFull = errors.New("users: the table is full")

// inlineName is how long a name may be that is kept in the record.
const inlineName = 25

// record is an entry, 48 bytes.
type record struct {
	Next     uint32 // in the index
	Hash     uint32 // of the name, by the seed of this process
	Fields   uint32 // interned; 0 = the slot is free
	Sessions uint32 // that are logged in
	Holds    uint32 // other references
	Sum      uint16 // of the name and the fields
	NameLen  uint8  // longName: the name is a blob, whose id is in Name
	Name     [inlineName]byte
}

const longName = 255

// Users is the table. The methods are safe for concurrent use.
type Users struct {
	table  *slab.Table[record]
	blobs  *slab.Blobs
	fields *slab.Names
	option slab.Option
	seed   maphash.Seed
	cache  [cacheSize]atomic.Pointer[cached]

	mu       sync.RWMutex // guards the records and what follows
	index    *slab.Index
	loggedIn int // entries with sessions
}

// cached is a decoded user.
type cached struct {
	id   uint32
	user *backend.User
}

// New returns an empty table. slab.Shared keeps it in memory that outlives the process.
func New(o slab.Option) (*Users, error) {
	u := &Users{seed: maphash.MakeSeed(), option: o}
	var err error
	if u.table, err = slab.New[record](tableUsers, maxUsers, o); err != nil {
		return nil, err
	}
	if u.blobs, err = slab.NewBlobs(tableTexts, maxUsers*cellsPerUser, o); err != nil {
		return nil, err
	}
	if u.fields, err = slab.NewNames(tableFields, maxUsers, u.blobs, o); err != nil {
		return nil, err
	}
	return u, u.newIndex()
}

func (u *Users) newIndex() (err error) {
	u.index, err = slab.NewIndex(maxUsers, func(slot uint32) (*uint32, uint32) {
		r := u.table.At(slot)
		return &r.Next, r.Hash
	})
	return err
}

func (u *Users) hash(name string) uint32 { return uint32(maphash.String(u.seed, name)) }

// Login returns the id of a user, which is never 0, with one more session. Logout gives it back.
func (u *Users) Login(user *backend.User) (uint32, error) {
	return u.acquire(user, func(r *record) {
		if r.Sessions++; r.Sessions == 1 {
			u.loggedIn++
		}
	})
}

// Hold returns the id of a user with one more reference. Drop gives it back.
func (u *Users) Hold(user *backend.User) (uint32, error) {
	return u.acquire(user, func(r *record) { r.Holds++ })
}

// Logout ends a session of a user; 0 is ignored.
func (u *Users) Logout(id uint32) {
	u.release(id, func(r *record) {
		if r.Sessions == 0 {
			return
		}
		if r.Sessions--; r.Sessions == 0 {
			u.loggedIn--
		}
	})
}

// Drop gives back a reference; 0 is ignored.
func (u *Users) Drop(id uint32) {
	u.release(id, func(r *record) { r.Holds = max(r.Holds, 1) - 1 })
}

func (u *Users) acquire(user *backend.User, count func(r *record)) (uint32, error) {
	var buf [256]byte
	fields := encodeFields(buf[:0], user.Name, user.Fields)
	u.mu.Lock()
	defer u.mu.Unlock()
	hash := u.hash(user.Name)
	for id := u.index.First(hash); id != 0; {
		r := u.table.At(id)
		if r.Hash == hash && u.is(r, user.Name) && bytes.Equal(u.fields.Append(nil, r.Fields), fields) {
			count(r)
			return id, nil
		}
		id = r.Next
	}
	id, r, err := u.add(hash, user.Name, fields)
	if err != nil {
		return 0, err
	}
	count(r)
	return id, nil
}

// add makes an entry. The caller holds mu.
func (u *Users) add(hash uint32, name string, fields []byte) (uint32, *record, error) {
	made := record{Hash: hash}
	if err := u.setName(&made, name); err != nil {
		return 0, nil, err
	}
	var err error
	if made.Fields, err = u.fields.Hold(fields); err != nil {
		u.freeName(&made)
		return 0, nil, err
	}
	made.Sum = sumOf(name, fields)
	id, r, err := u.table.Take()
	if err == nil && id == 0 {
		err = ErrFull
	}
	if err != nil {
		u.freeName(&made)
		u.fields.Drop(made.Fields)
		return 0, nil, err
	}
	*r = made
	u.index.Add(id)
	return id, r, nil
}

func (u *Users) setName(r *record, name string) error {
	if len(name) <= inlineName {
		r.NameLen = uint8(copy(r.Name[:], name))
		return nil
	}
	blob, err := u.blobs.Put([]byte(name))
	r.NameLen = longName
	binary.LittleEndian.PutUint32(r.Name[:], blob)
	return err
}

// appendName appends the name of an entry.
func (u *Users) appendName(b []byte, r *record) []byte {
	if r.NameLen <= inlineName {
		return append(b, r.Name[:r.NameLen]...)
	}
	return u.blobs.Append(b, binary.LittleEndian.Uint32(r.Name[:]))
}

func (u *Users) freeName(r *record) {
	if r.NameLen > inlineName {
		u.blobs.Free(binary.LittleEndian.Uint32(r.Name[:]))
	}
}

func (u *Users) release(id uint32, count func(r *record)) {
	if id == 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	r := u.table.At(id)
	if r == nil || r.Fields == 0 {
		return
	}
	if count(r); r.Sessions != 0 || r.Holds != 0 {
		return
	}
	u.index.Remove(id)
	u.freeName(r)
	u.fields.Drop(r.Fields)
	*r = record{}
	if c := &u.cache[id%cacheSize]; c.Load() != nil && c.Load().id == id {
		c.Store(nil)
	}
	u.table.Give(id)
}

// is reports whether an entry is of a name. The caller holds mu.
func (u *Users) is(r *record, name string) bool {
	var buf [128]byte
	return string(u.appendName(buf[:0], r)) == name
}

// Get returns the user with an id that the caller has a reference to, nil for 0. It is not to be changed.
func (u *Users) Get(id uint32) *backend.User {
	slot := &u.cache[id%cacheSize]
	if c := slot.Load(); c != nil && c.id == id {
		return c.user
	}
	u.mu.RLock()
	defer u.mu.RUnlock()
	r := u.table.At(id)
	if r == nil || r.Fields == 0 {
		return nil
	}
	user := &backend.User{Name: string(u.appendName(nil, r))}
	var err error
	if user.Fields, err = decodeFields(u.fields.Append(nil, r.Fields), user.Name); err != nil {
		return nil
	}
	slot.Store(&cached{id, user}) // before an entry that is freed is taken out of the cache
	return user
}

// ForgetDecoded drops the decoded users that are kept. Few of them, spread over the heap that a burst of logins has left, would
// keep most of it from being given back.
func (u *Users) ForgetDecoded() {
	for i := range u.cache {
		u.cache[i].Store(nil)
	}
}

// IDs calls f with the id of each entry with a name, until it returns false. f must not call other methods.
func (u *Users) IDs(name string, f func(id uint32) bool) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	hash := u.hash(name)
	for id := u.index.First(hash); id != 0; {
		r := u.table.At(id)
		if r.Hash == hash && u.is(r, name) && !f(id) {
			return
		}
		id = r.Next
	}
}

// Sessions returns how many sessions of a user are logged in, whatever their fields.
func (u *Users) Sessions(name string) int {
	n := 0
	u.IDs(name, func(id uint32) bool {
		n += int(u.table.At(id).Sessions)
		return true
	})
	return n
}

// SameName reports whether two entries that the caller has references to have one name.
func (u *Users) SameName(a, b uint32) bool {
	if a == b {
		return true
	}
	u.mu.RLock()
	defer u.mu.RUnlock()
	x, y := u.table.At(a), u.table.At(b)
	return x != nil && y != nil && x.Hash == y.Hash && u.is(y, string(u.appendName(nil, x)))
}

// Is reports whether an entry that the caller has a reference to has a name.
func (u *Users) Is(id uint32, name string) bool {
	u.mu.RLock()
	defer u.mu.RUnlock()
	r := u.table.At(id)
	return r != nil && r.Fields != 0 && u.is(r, name)
}

// HashOf returns the hash of the name of an entry that the caller has a reference to.
func (u *Users) HashOf(id uint32) uint32 {
	if r := u.table.At(id); r != nil {
		return r.Hash // constant while there is a reference
	}
	return 0
}

// Hash returns what HashOf returns for entries with a name.
func (u *Users) Hash(name string) uint32 { return u.hash(name) }

// LoggedIn returns the number of entries with sessions.
func (u *Users) LoggedIn() int {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.loggedIn
}

// Len returns the number of entries.
func (u *Users) Len() int { return u.table.Used() }

// Bytes returns how much is mapped for the entries.
func (u *Users) Bytes() int64 {
	return u.table.Bytes() + u.blobs.Bytes() + u.fields.Bytes() + u.index.Bytes()
}

// Close gives the memory back. Nobody may use the table any more.
func (u *Users) Close() {
	u.table.Close()
	u.blobs.Close()
	u.fields.Close()
	u.index.Close()
}

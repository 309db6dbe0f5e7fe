package imap

import (
	"maps"
	"sync"

	"github.com/roostmail/roost/core/backend"
)

// users interns authenticated users, so that a session's record holds a number.
// An entry lives as long as a session refers to it.
type users struct {
	mu     sync.RWMutex
	byName map[string][]uint32 // one per set of userdb fields: a login may bring other ones than the one before
	slots  []userSlot          // by id; [0] is no user
	free   []uint32
}

type userSlot struct {
	user *backend.User
	refs uint32
}

func (u *users) init() {
	u.byName = map[string][]uint32{}
	u.slots = make([]userSlot, 1)
}

// acquire returns the id of a user, with one more reference.
func (u *users) acquire(user backend.User) uint32 {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, id := range u.byName[user.Name] {
		if maps.Equal(u.slots[id].user.Fields, user.Fields) {
			u.slots[id].refs++
			return id
		}
	}
	var id uint32
	if n := len(u.free); n > 0 {
		id, u.free = u.free[n-1], u.free[:n-1]
	} else {
		id = uint32(len(u.slots))
		u.slots = append(u.slots, userSlot{})
	}
	u.slots[id] = userSlot{user: &user, refs: 1}
	u.byName[user.Name] = append(u.byName[user.Name], id)
	return id
}

// get returns the user with an id that the caller has a reference to; nil for 0.
func (u *users) get(id uint32) *backend.User {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.slots[id].user
}

// release gives back one reference; 0 is ignored.
func (u *users) release(id uint32) {
	if id == 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	s := &u.slots[id]
	if s.refs--; s.refs > 0 {
		return
	}
	name := s.user.Name
	ids := u.byName[name]
	for i := range ids {
		if ids[i] == id {
			ids = append(ids[:i:i], ids[i+1:]...)
			break
		}
	}
	if len(ids) == 0 {
		delete(u.byName, name)
	} else {
		u.byName[name] = ids
	}
	*s = userSlot{}
	u.free = append(u.free, id)
}

// len returns the number of entries in use.
func (u *users) len() int {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return len(u.slots) - 1 - len(u.free)
}

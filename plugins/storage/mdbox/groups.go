package mdbox

import (
	"os/user"
	"strconv"
	"sync"
	"time"
)

// groupsTime is how long the supplementary groups of an owner are taken to be the same, and groupsKept of how many owners they are
// remembered. Asking the system may mean asking a directory server.
const (
	groupsTime = time.Minute
	groupsKept = 1024
)

// groupCache remembers what systemGroups returned. Its zero value is ready.
type groupCache struct {
	mu    sync.Mutex
	known map[owner]ownerGroups
	clock func() time.Time // nil: time.Now
	ask   func(owner) []int
}

type ownerGroups struct {
	at     time.Time
	groups []int
}

// of returns the supplementary groups of an owner, none if the system does not know it. They are not to be changed.
func (c *groupCache) of(o owner) []int {
	now := time.Now
	if c.clock != nil {
		now = c.clock
	}
	c.mu.Lock()
	got, there := c.known[o]
	c.mu.Unlock()
	if there && now().Sub(got.at) < groupsTime {
		return got.groups
	}
	ask := systemGroups
	if c.ask != nil {
		ask = c.ask
	}
	got = ownerGroups{now(), ask(o)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= groupsKept {
		c.known = map[owner]ownerGroups{}
	}
	c.known[o] = got
	return got.groups
}

// systemGroups asks the system.
func systemGroups(o owner) (groups []int) {
	u, err := user.LookupId(strconv.Itoa(o.uid))
	if err != nil {
		return nil
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil
	}
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil && n != o.gid {
			groups = append(groups, n)
		}
	}
	return groups
}

package mdbox

import (
	"os/user"
	"strconv"
	"sync"
	"time"

	"github.com/roostmail/roost/mdbox/vfs"
)

// groupsKept is of how many owners the supplementary groups are remembered, some 100 bytes each. Asking the system may mean asking a directory server.
const groupsKept = 16384

// groupCache remembers what systemGroups returned. Its zero value remembers nothing.
type groupCache struct {
	ttl   time.Duration // how long the groups of an owner are taken to be the same: groups_ttl
	mu    sync.Mutex
	known map[owner]ownerGroups
	clock func() time.Time // nil: time.Now
	ask   func(owner) []int
}

type ownerGroups struct {
	at     time.Time
	groups []int
	files  vfs.FS // as the owner sees it; nil: not made yet
}

// of returns the supplementary groups of an owner, none if the system does not know it. They are not to be changed.
func (c *groupCache) of(o owner) []int { return c.get(o).groups }

// files returns the file system as an owner sees it. Errors are those of vfs.As.
func (c *groupCache) files(o owner) (vfs.FS, error) {
	got := c.get(o)
	if got.files != nil {
		return got.files, nil
	}
	var err error
	if got.files, err = vfs.As(vfs.OS, o.uid, o.gid, got.groups); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if k, ok := c.known[o]; ok && k.at.Equal(got.at) {
		c.known[o] = got
	}
	return got.files, nil
}

// rest forgets the file systems, which are cheap to make: what a burst of many owners has made lies spread over memory that could be given back.
func (c *groupCache) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for o, g := range c.known {
		g.files = nil
		c.known[o] = g
	}
}

func (c *groupCache) get(o owner) ownerGroups {
	now := time.Now
	if c.clock != nil {
		now = c.clock
	}
	c.mu.Lock()
	got, there := c.known[o]
	c.mu.Unlock()
	if there && now().Sub(got.at) < c.ttl {
		return got
	}
	ask := systemGroups
	if c.ask != nil {
		ask = c.ask
	}
	got = ownerGroups{at: now(), groups: ask(o)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ttl <= 0 {
		return got
	}
	if c.known == nil {
		c.known = map[owner]ownerGroups{}
	}
	for old := range c.known { // any one
		if len(c.known) < groupsKept {
			break
		}
		delete(c.known, old)
	}
	c.known[o] = got
	return got
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

package crashfs

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
)

// Loss says what a crash takes away.
type Loss uint8

// Losses.
const (
	// LoseNothing is the end of a process. What is not durable can still be lost by a later crash.
	LoseNothing Loss = iota
	// LoseUnsynced leaves only what is durable.
	LoseUnsynced
	// LoseData leaves all names, and only the data that is durable.
	LoseData
	// LoseNames leaves only the names that are durable, and all data.
	LoseNames
	// LoseSome leaves by chance some of what is not durable.
	LoseSome
)

// Losses are all of them.
var Losses = []Loss{LoseNothing, LoseUnsynced, LoseData, LoseNames, LoseSome}

func (l Loss) String() string {
	return [...]string{"lose nothing", "lose all that is not synced", "lose data that is not synced", "lose names that are not synced", "lose some"}[l]
}

// After returns the file system as it is found after a crash now: without open files and locks, and without a fault to
// come. f does not change, and can be used on. seed decides what LoseSome takes; the others do not use it.
func (f *FS) After(loss Loss, seed uint64) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.copy()
	if loss == LoseNothing {
		return g
	}
	var rnd *rand.Rand
	if loss == LoseSome {
		rnd = rand.New(rand.NewPCG(seed, 0))
	}
	if loss != LoseData {
		g.loseNames(rnd)
	}
	g.settle(func(n *node) {
		if loss != LoseNames && len(n.pending) > 0 {
			before := len(n.data)
			n.lose(rnd)
			if rnd == nil || len(n.data) != before {
				n.mtime = n.then
			}
		}
		n.sync(n.mtime)
	})
	return g
}

// loseNames takes back changes of names: all that are not durable, or what rnd says.
func (f *FS) loseNames(rnd *rand.Rand) {
	until := map[*node]int{}
	if rnd != nil && len(f.pending) > 0 {
		all := rnd.IntN(len(f.pending) + 1)
		journal := rnd.IntN(2) == 0 // one for all directories
		for _, c := range f.pending {
			for _, dir := range []*node{c.dir, c.fromDir} {
				if _, ok := until[dir]; ok || dir == nil {
					continue
				}
				until[dir] = all
				if !journal {
					until[dir] = rnd.IntN(len(f.pending) + 1)
				}
			}
		}
		for dir, n := range until {
			// Only changes in the directory count: what is above belongs to others.
			for n > 0 && !f.pending[n-1].in(dir) {
				n--
			}
			until[dir] = n
		}
		f.keep(until)
	}
	f.pending = nil
	f.eachDir(f.root, map[*node]bool{}, func(dir *node) { dir.names = maps.Clone(dir.kept) }, func(dir *node) map[string]*node { return dir.kept })
}

// settle makes all names durable that there are, and calls do for each file, in the order of their inodes.
func (f *FS) settle(do func(n *node)) {
	f.pending = nil
	var files []*node
	seen := map[*node]bool{}
	f.eachDir(f.root, seen, func(dir *node) { dir.kept = maps.Clone(dir.names) }, func(dir *node) map[string]*node { return dir.names })
	for n := range seen {
		if n.names == nil {
			files = append(files, n)
		}
	}
	slices.SortFunc(files, func(a, b *node) int { return cmp.Compare(a.ino, b.ino) })
	for _, n := range files {
		do(n)
	}
}

// eachDir calls do for n and the directories below it, and adds all nodes that it comes by to seen.
func (f *FS) eachDir(n *node, seen map[*node]bool, do func(dir *node), of func(dir *node) map[string]*node) {
	if seen[n] {
		return
	}
	seen[n] = true
	if n.names == nil {
		return
	}
	do(n)
	for _, child := range of(n) {
		f.eachDir(child, seen, do, of)
	}
}

// copy returns a copy without open files.
func (f *FS) copy() *FS {
	g := &FS{
		UID: f.UID, GID: f.GID, dev: devices.Add(1), lastIno: f.lastIno, clock: f.clock, last: f.last, open: make(map[*file]bool),
	}
	copies := map[*node]*node{nil: nil}
	var copyOf func(n *node) *node
	copyOf = func(n *node) *node {
		if c, ok := copies[n]; ok {
			return c
		}
		c := &node{}
		*c = *n
		copies[n] = c
		c.locks = [2]*file{}
		if n.names != nil {
			c.names, c.kept = make(map[string]*node, len(n.names)), make(map[string]*node, len(n.kept))
			for name, child := range n.names {
				c.names[name] = copyOf(child)
			}
			for name, child := range n.kept {
				c.kept[name] = copyOf(child)
			}
			return c
		}
		n.shared, c.shared = true, true
		c.data = slices.Clip(n.data)
		c.pending = slices.Clone(n.pending)
		return c
	}
	g.root = copyOf(f.root)
	for _, c := range f.pending {
		g.pending = append(g.pending, change{copyOf(c.dir), c.name, copyOf(c.node), copyOf(c.fromDir), c.fromName})
	}
	return g
}

// Check returns an error that names the files that are open, and those that are locked.
func (f *FS) Check() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for h := range f.open {
		locked := ""
		for _, holder := range h.node.locks {
			if holder == h {
				locked = ", and locked"
			}
		}
		errs = append(errs, fmt.Errorf("%s is left open%s", h.name, locked))
	}
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

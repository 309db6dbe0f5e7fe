package mdbox

import (
	"sync"

	"github.com/roostmail/roost/mdbox/index"
)

// maxFormer is how many former indexes a store remembers.
const maxFormer = 1000

// formerIndexes remembers which index a directory had before its mailbox was deleted or renamed by this process: what
// index.CreateAfter wants to know when the mailbox is made again. Sessions of Dovecot that have the old one selected then do not damage the new one.
type formerIndexes struct {
	mu    sync.Mutex
	byDir map[string]index.Former
}

// note remembers the index of a directory. If there are too many, all are forgotten: they matter only for the time that
// a session may take until it looks at its mailbox again.
func (f *formerIndexes) note(dir string, former index.Former) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byDir == nil || len(f.byDir) >= maxFormer {
		f.byDir = map[string]index.Former{}
	}
	f.byDir[dir] = former
}

// take returns what is remembered of a directory, and forgets it.
func (f *formerIndexes) take(dir string) index.Former {
	f.mu.Lock()
	defer f.mu.Unlock()
	former := f.byDir[dir]
	delete(f.byDir, dir)
	return former
}

package mailboxlist

import (
	"io/fs"
	"sync"
	"time"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Leaves remembers directories of mailboxes without children, so that Walk looks only whether they have changed. It is safe for concurrent use.
type Leaves struct {
	mu sync.Mutex
	m  map[string]stamp // by path
}

// stamp is a directory as it was when it was read.
type stamp struct {
	dev, ino     uint64
	mtime, ctime int64
}

const (
	// maxLeaves bounds what is remembered.
	maxLeaves = 20_000
	// leafBytes is about what one takes.
	leafBytes = 200
	// settled is for how long a directory must not have changed before it is remembered: two changes in one tick of the file system's clock
	// can not be told apart.
	settled = 2 * time.Second
)

// MemoryBytes is about how much memory l takes.
func (l *Leaves) MemoryBytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return leafBytes * int64(len(l.m))
}

func stampOf(st vfs.Info) stamp { return stamp{st.Dev, st.Ino, st.Mtime, st.Ctime} }

// has reports whether a directory is as it was when it had no children.
func (l *Leaves) has(path string, st vfs.Info) bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	was, ok := l.m[path]
	return ok && was == stampOf(st)
}

// add remembers a directory. st was there before it was read.
func (l *Leaves) add(path string, st vfs.Info) {
	if l == nil || time.Since(time.Unix(0, max(st.Mtime, st.Ctime))) < settled {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.m == nil || len(l.m) >= maxLeaves {
		l.m = map[string]stamp{}
	}
	l.m[path] = stampOf(st)
}

// leaf reports whether entries are those of a mailbox without children: the one directory that has its mail.
func (c Codec) leaf(entries []fs.DirEntry) bool {
	mail := false
	for _, e := range entries {
		switch {
		case e.Name() == c.dirName() && e.IsDir():
			mail = true
		case e.IsDir() || e.Type()&fs.ModeSymlink != 0:
			return false
		}
	}
	return mail
}

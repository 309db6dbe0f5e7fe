package crashfs

import (
	"math/rand/v2"
	"slices"
)

// content is the data of a file, as everybody sees it, and as it is on disk.
type content struct {
	data    []byte
	shared  bool    // the bytes of data are used elsewhere too: they must not be changed, but may be appended to
	synced  []byte  // as of the last Sync; never changed
	then    int64   // the time of modification of synced
	pending []write // since then, in order
}

// write is a change of data that is not durable yet.
type write struct {
	off      int
	data     []byte // never changed
	truncate bool   // instead: the size becomes off
}

// apply returns b with the write in it, which may be b itself, changed.
func (w write) apply(b []byte) []byte {
	if w.truncate {
		return resize(b, w.off)
	}
	b = resize(b, max(len(b), w.off+len(w.data)))
	copy(b[w.off:], w.data)
	return b
}

func resize(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size]
	}
	old := len(b)
	b = slices.Grow(b, size-old)[:size]
	clear(b[old:])
	return b
}

// change changes the data that everybody sees. The bytes of w become those of c.
func (c *content) change(w write) {
	if c.shared {
		switch {
		case w.truncate && w.off <= len(c.data):
			c.data = slices.Clip(c.data[:w.off]) // what is appended now must not go over the rest
		case !w.truncate && w.off < len(c.data):
			c.data, c.shared = slices.Clone(c.data), false
		}
	}
	c.data = w.apply(c.data)
	c.pending = append(c.pending, w)
}

// sync makes the data durable.
func (c *content) sync(mtime int64) {
	c.synced, c.then, c.pending, c.shared = slices.Clip(c.data), mtime, nil, true
}

// piece is the size of what a disk writes or does not write, in bytes.
const piece = 512

// lose takes back some of what is not durable: all of it, or what rnd says.
func (c *content) lose(rnd *rand.Rand) {
	mode := 0
	if rnd != nil {
		mode = rnd.IntN(4)
	}
	b := slices.Clone(c.synced)
	switch mode {
	case 1: // nothing is lost
		b = c.data
	case 2: // all up to some write, and some pieces of that
		n := rnd.IntN(len(c.pending))
		for _, w := range c.pending[:n] {
			b = w.apply(b)
		}
		b = c.pending[n].tear(b, rnd)
	case 3: // some pieces of every write. What comes after a truncation is in the journal behind it
		for _, w := range c.pending {
			if w.truncate && rnd.IntN(2) == 0 {
				break
			}
			b = w.tear(b, rnd)
		}
	}
	c.data, c.shared = slices.Clip(b), true
}

// tear applies some pieces of the write. In place of others there may be zeros, if they were behind the end of the file.
func (w write) tear(b []byte, rnd *rand.Rand) []byte {
	if w.truncate {
		return w.apply(b)
	}
	for off, rest := w.off, w.data; len(rest) > 0; {
		n := min(len(rest), piece-off%piece)
		switch part := (write{off: off, data: rest[:n]}); rnd.IntN(3) {
		case 0, 1:
			b = part.apply(b)
		case 2:
			if off+n > len(b) && rnd.IntN(2) == 0 {
				b = resize(b, off+n)
			}
		}
		off, rest = off+n, rest[n:]
	}
	return b
}

package dbox

import (
	"container/list"
	"sync"
)

// A client that fetches a large message in pieces asks for one range after the
// other. Where a range ended is remembered, since only reading all before it tells
// which byte of the file that is. Compressed messages are always read from their start.

// checkpointAfter is the position from which on a range's end is worth remembering, in bytes.
const checkpointAfter = readSize

// maxCheckpoints is how many are remembered, each of the size of a few words.
const maxCheckpoints = 256

// checkpointKey identifies a message. A FileID is never used for other content;
// the rest tells a file that a repair has rewritten.
type checkpointKey struct {
	file   FileID
	offset uint32
	inode  uint64
	size   uint64
}

// checkpoint is the state of a Reader between two bytes of the message.
type checkpoint struct {
	key     checkpointKey
	stored  uint64 // bytes of the stored body before it
	virtual uint64 // bytes of the message with CRLF line ends before it
	conv    crlf
}

// checkpoints holds the newest checkpoint of recently read messages.
type checkpoints struct {
	mu     sync.Mutex
	byKey  map[checkpointKey]*list.Element
	recent list.List // of checkpoint, newest first
}

func (m *Message) checkpointKey() checkpointKey {
	return checkpointKey{m.file.id, m.ref.Offset, m.file.info.Ino, m.header.Size}
}

// find returns the checkpoint of a message if it is not behind offset.
func (c *checkpoints) find(key checkpointKey, offset uint64) (checkpoint, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[key]
	if e == nil || e.Value.(checkpoint).virtual > offset {
		return checkpoint{}, false
	}
	return e.Value.(checkpoint), true
}

// put remembers p instead of an earlier one of the same message.
func (c *checkpoints) put(p checkpoint) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byKey[p.key]; e != nil {
		c.recent.Remove(e)
	} else if c.recent.Len() >= maxCheckpoints {
		oldest := c.recent.Remove(c.recent.Back()).(checkpoint)
		delete(c.byKey, oldest.key)
	}
	if c.byKey == nil {
		c.byKey = make(map[checkpointKey]*list.Element)
	}
	c.byKey[p.key] = c.recent.PushFront(p)
}

// resume moves a new reader as far towards offset as is possible without reading.
func (r *Reader) resume(offset uint64) {
	m := r.s.m
	if !m.stored() || offset == 0 {
		return
	}
	if r.virtual == m.physical { // no line end is changed
		r.assumed = true
		r.seek(checkpoint{stored: offset, virtual: offset, conv: crlf{afterCR: true}})
		return
	}
	if p, ok := m.store.points.find(m.checkpointKey(), offset); ok {
		r.seek(p)
	}
}

func (r *Reader) seek(p checkpoint) {
	r.s.stored.off, r.s.pos = p.stored, p.stored
	r.pos, r.conv = p.virtual, p.conv
}

// remember keeps where the reader stands, if a later range may continue there.
func (r *Reader) remember() {
	m := r.s.m
	if !m.stored() || r.virtual == m.physical || r.pos < checkpointAfter || r.pos >= r.virtual {
		return
	}
	m.store.points.put(checkpoint{
		key:     m.checkpointKey(),
		stored:  r.s.pos - uint64(len(r.chunk)),
		virtual: r.pos,
		conv:    r.conv,
	})
}

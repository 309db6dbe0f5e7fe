package session

import (
	"io"
	"os"
	"sync"
	"sync/atomic"
)

const (
	// memoryPiece is the unit, in octets, in which bodies in memory take it.
	memoryPiece = 32 << 10
	// memoryShare bounds one body in memory to this part of what all may have, so that a few do not send the others to files.
	memoryShare = 8
)

// spoolMemory is the memory of all sessions for bodies that are too large for the input and small enough to need no file.
type spoolMemory struct {
	max   int64
	taken atomic.Int64 // octets, in whole pieces, from a literal's announcement to the end of its command
	free  sync.Pool    // of *[memoryPiece]byte
}

// take makes room for a body of size octets; nil if there is none.
func (p *spoolMemory) take(size uint64) *bodyMemory {
	if size > uint64(p.max)/memoryShare {
		return nil
	}
	m := &bodyMemory{pool: p, reserved: (int64(size) + memoryPiece - 1) / memoryPiece * memoryPiece}
	if p.taken.Add(m.reserved) > p.max {
		p.taken.Add(-m.reserved)
		return nil
	}
	return m
}

// bodyMemory is one body in memory. Its pieces are made as it arrives, and used for other bodies after release: whoever still has a reader of it
// gets an error then, as from a file that is closed.
type bodyMemory struct {
	pool     *spoolMemory
	reserved int64 // in pool.taken

	mu     sync.Mutex
	pieces []*[memoryPiece]byte
	n      int64 // octets in pieces
	gone   bool
}

// room returns where the next octets of the body belong, at least one.
func (m *bodyMemory) room() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.n == int64(len(m.pieces))*memoryPiece {
		piece, ok := m.pool.free.Get().(*[memoryPiece]byte)
		if !ok {
			piece = new([memoryPiece]byte)
		}
		m.pieces = append(m.pieces, piece)
	}
	return m.pieces[len(m.pieces)-1][m.n%memoryPiece:]
}

// filled says that the first n octets of room are there.
func (m *bodyMemory) filled(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.n += int64(n)
}

// write appends b.
func (m *bodyMemory) write(b []byte) {
	for len(b) > 0 {
		n := copy(m.room(), b)
		m.filled(n)
		b = b[n:]
	}
}

// readAt is io.ReaderAt, but that it may return less than was asked for without an error.
func (m *bodyMemory) readAt(b []byte, at int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.gone:
		return 0, os.ErrClosed
	case at >= m.n:
		return 0, io.EOF
	}
	from := at % memoryPiece
	return copy(b, m.pieces[at/memoryPiece][from:min(from+m.n-at, memoryPiece)]), nil
}

// release gives the memory back, once.
func (m *bodyMemory) release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, piece := range m.pieces {
		m.pool.free.Put(piece)
	}
	m.pieces, m.gone = nil, true
	m.pool.taken.Add(-m.reserved)
}

// memoryReader reads a body in memory from its start.
type memoryReader struct {
	m  *bodyMemory
	at int64
}

// Read implements io.Reader.
func (r *memoryReader) Read(b []byte) (int, error) {
	n, err := r.m.readAt(b, r.at)
	r.at += int64(n)
	return n, err
}

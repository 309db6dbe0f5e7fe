package dbox

import (
	"sync"

	"github.com/roostmail/roost/mdbox/vfs"
)

// sinkSize is how much is written to a file at once. A usual message fits: it takes one write, and one for its header.
const sinkSize = 128 << 10

var sinkPool = sync.Pool{New: func() any { return new([sinkSize]byte) }}

// sink is a buffered writer that goes on at an offset of a file. It fails for good with the first error.
type sink struct {
	f   vfs.WritableFile
	off uint64 // in the file, of what is in the buffer
	mem *[sinkSize]byte
	n   int // bytes in mem
	err error
}

func newSink(f vfs.WritableFile, off uint64) *sink {
	return &sink{f: f, off: off, mem: sinkPool.Get().(*[sinkSize]byte)}
}

// pos returns the offset in the file at which the next byte will be.
func (s *sink) pos() uint64 { return s.off + uint64(s.n) }

// Write implements io.Writer.
func (s *sink) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 && s.err == nil {
		n := copy(s.mem[s.n:], p)
		s.n += n
		if p = p[n:]; len(p) > 0 {
			s.flush()
		}
	}
	if s.err != nil {
		return 0, s.err
	}
	return total, nil
}

// flush writes what is in the buffer.
func (s *sink) flush() error {
	if s.err == nil && s.n > 0 {
		_, s.err = s.f.WriteAt(s.mem[:s.n], int64(s.off))
		s.off += uint64(s.n)
		s.n = 0
	}
	return s.err
}

// release gives the buffer back.
func (s *sink) release() {
	sinkPool.Put(s.mem)
	s.mem = nil
}

package dbox

import (
	"math"
	"sync"

	"github.com/roostmail/roost/mdbox/vfs"
)

// draftMemory is up to which size a message is put together in memory.
const draftMemory = 128 << 10

var draftPool = sync.Pool{New: func() any { return new([draftMemory]byte) }}

// draft is a message being put together: header, body, metadata.
//
// What is behind the last complete message of a mail file is garbage to Dovecot, which repairs the whole store when it
// finds some. So a message that fits in memory is written with one system call, and only when all of it is there: a kill
// finds the message in the file or does not. A larger one is written where nobody looks, to a new temporary file;
// afterwards that becomes a mail file, or the message is copied from it to one that has room. In a file the header
// is zeros until all else is written.
type draft struct {
	mem  *[draftMemory]byte
	n    int    // bytes in mem
	size uint64 // bytes of the message before them, in f
	body uint64 // size of the stored body, when the draft is finished

	f   vfs.WritableFile // nil: the message has needed none yet
	at  uint64           // where the message starts in f
	err error            // of a write; there is no way on

	spill func() (vfs.WritableFile, uint64, error) // returns f and at for a message that does not fit in memory
}

// newDraft returns a draft whose header is zeros.
func newDraft() *draft {
	d := &draft{mem: draftPool.Get().(*[draftMemory]byte), n: messageHeaderSize}
	clear(d.mem[:messageHeaderSize])
	return d
}

// release gives the buffer back.
func (d *draft) release() {
	draftPool.Put(d.mem)
	d.mem = nil
}

// len returns the bytes of the message so far.
func (d *draft) len() uint64 { return d.size + uint64(d.n) }

// Write implements io.Writer.
func (d *draft) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 && d.err == nil {
		if d.n == len(d.mem) {
			d.flush()
		}
		n := copy(d.mem[d.n:], p)
		d.n += n
		p = p[n:]
	}
	if d.err != nil {
		return 0, d.err
	}
	return total, nil
}

// flush writes what is in memory to the file.
func (d *draft) flush() error {
	if d.f == nil && d.err == nil {
		d.f, d.at, d.err = d.spill()
	}
	if d.err == nil && d.n > 0 {
		_, d.err = d.f.WriteAt(d.mem[:d.n], int64(d.at+d.size))
		d.size += uint64(d.n)
		d.n = 0
	}
	return d.err
}

// finish sets the header, when body and metadata were written. body is the size of the stored body.
func (d *draft) finish(body uint64) error {
	if d.err != nil {
		return d.err
	}
	if d.len() > math.MaxUint32 {
		return &LimitError{Setting: "MaxMessageSize", Limit: math.MaxUint32} // what a map record holds
	}
	d.body = body
	header := MessageHeader{Type: TypeNormal, Size: body}
	if d.size == 0 {
		header.Append(d.mem[:0])
		return nil
	}
	if err := d.flush(); err != nil {
		return err
	}
	_, d.err = d.f.WriteAt(header.Append(nil), int64(d.at))
	return d.err
}

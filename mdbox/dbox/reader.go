package dbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/roostmail/roost/mdbox/vfs"
)

// readSize is how much is read from a file or decompressed at once.
const readSize = 64 << 10

var chunkPool = sync.Pool{New: func() any { return new([readSize]byte) }}

// stream is the physical message, piece by piece.
type stream struct {
	m    *Message // whose file is read
	pos  uint64   // physical bytes returned by next
	size uint64   // all of them; unknown: the end of the text tells

	stored section // the stored body
	unpack decompressor
	splice *splicer
	src    io.Reader // nil: the stored body is the message
	buf    *[readSize]byte
}

// unknown is the size of a text whose end tells it.
const unknown = math.MaxUint64

// section is the stored body as an io.Reader: what the message has in its window, then the file.
type section struct {
	m   *Message
	off uint64 // in the stored body
}

// inWindow returns the next stored bytes as far as they are in memory, and consumes them.
func (s *section) inWindow() []byte {
	start := s.off + uint64(s.m.file.header.HeaderSize)
	end := min(uint64(len(s.m.window)), uint64(s.m.file.header.HeaderSize)+s.m.header.Size)
	if start >= end {
		return nil
	}
	s.off += end - start
	return s.m.window[start:end]
}

func (s *section) Read(p []byte) (int, error) {
	left := s.m.header.Size - s.off
	if left == 0 {
		return 0, io.EOF
	}
	p = p[:min(uint64(len(p)), left)]
	before := *s
	if b := s.inWindow(); b != nil {
		n := copy(p, b)
		s.off = before.off + uint64(n)
		return n, nil
	}
	n, err := s.m.file.ReadAt(p, s.m.bodyOff+int64(s.off))
	s.off += uint64(n)
	if n == len(p) {
		err = nil
	} else if err == io.EOF {
		err = s.m.corrupt(s.m.bodyOff+int64(s.off), "body lies inside the file")
	}
	return n, err
}

func (m *Message) openStream() (*stream, error) {
	s := &stream{m: m, size: m.physical, stored: section{m: m}}
	if m.endless {
		s.size = unknown
	}
	if m.stored() {
		return s, nil
	}
	s.src = &s.stored
	if m.compression != Uncompressed {
		var err error
		if s.unpack, err = newDecompressor(m.compression, s.src, m.store.cfg.MaxWindowSize); err != nil {
			return nil, m.bodyError(err)
		}
		s.src = s.unpack
	}
	if len(m.attachments) > 0 {
		s.splice = &splicer{body: s.src, refs: m.attachments, dir: m.store.cfg.AttachmentDir, fsys: m.store.cfg.FS}
		s.src = s.splice
	}
	return s, nil
}

// next returns the next bytes of the message, valid until the next call; at the
// end io.EOF, after exactly size bytes if that is known.
func (s *stream) next() ([]byte, error) {
	if s.src == nil {
		if b := s.stored.inWindow(); b != nil {
			s.pos += uint64(len(b))
			return b, nil
		}
	}
	if s.buf == nil {
		s.buf = chunkPool.Get().(*[readSize]byte)
	}
	src := s.src
	if src == nil {
		src = &s.stored
	}
	n, err := readSome(src, s.buf[:])
	s.pos += uint64(n)
	switch {
	case s.size == unknown && s.pos > s.m.store.cfg.MaxMessageSize:
		return nil, &LimitError{Setting: "MaxMessageSize", Limit: s.m.store.cfg.MaxMessageSize}
	case s.pos > s.size:
		return nil, s.m.corrupt(s.m.metaOff, "message has the physical size %d, not more", s.size)
	case err == io.EOF && s.pos < s.size && s.size != unknown:
		return nil, s.m.corrupt(s.m.metaOff, "message has the physical size %d, not %d", s.size, s.pos)
	case err == io.EOF && n > 0:
		return s.buf[:n], nil
	case err == io.EOF:
		if s.size == unknown {
			s.m.physical, s.m.endless = s.pos, false
		}
		return nil, err
	case err != nil:
		return nil, s.m.bodyError(err)
	}
	return s.buf[:n], nil
}

// readSome reads until buf is full or src ends or fails.
func readSome(src io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var k int
		k, err = src.Read(buf[n:])
		n += k
	}
	if n > 0 && err == io.EOF {
		return n, nil
	}
	return n, err
}

// close gives buffers back.
func (s *stream) close() {
	if s.splice != nil {
		s.splice.Close()
	}
	if s.unpack != nil {
		s.unpack.release()
		s.unpack = nil
	}
	if s.buf != nil {
		chunkPool.Put(s.buf)
		s.buf = nil
	}
}

// Reader streams a message with CRLF line ends.
type Reader struct {
	s       *stream
	conv    crlf
	assumed bool   // pos is right only if virtual is
	chunk   []byte // physical bytes not converted yet
	pos     uint64 // virtual bytes returned or skipped
	end     uint64 // where to stop
	virtual uint64 // size of the whole message
	err     error
}

// NewReader returns a reader of length virtual bytes of the message from offset
// on; length 0 = to the end. A range beyond the end is cut. The reader is valid
// until the message is closed, and must be closed before it.
//
// Read returns exactly Len bytes and io.EOF, or an error: ErrVirtualSize if the message is found not to end where VirtualSize said when the
// reader was made, and a *vfs.CorruptError if it has more or less bytes, as stored, than its metadata say.
func (m *Message) NewReader(offset, length uint64) (*Reader, error) {
	r, err := m.newReader(offset, length)
	if errors.Is(err, ErrVirtualSize) { // behind the end, and nothing was returned yet
		r, err = m.newReader(offset, length)
	}
	return r, err
}

func (m *Message) newReader(offset, length uint64) (*Reader, error) {
	size, err := m.VirtualSize()
	if err != nil {
		return nil, err
	}
	offset = min(offset, size)
	end := size
	if length > 0 && length < size-offset {
		end = offset + length
	}
	s, err := m.openStream()
	if err != nil {
		return nil, err
	}
	r := &Reader{s: s, virtual: size, end: end}
	r.resume(offset)
	if err := r.skipTo(offset); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Len returns how many bytes are left to read.
func (r *Reader) Len() uint64 { return r.end - r.pos }

// skipTo moves forward to a position in the virtual message.
func (r *Reader) skipTo(pos uint64) error {
	for r.pos < pos {
		if err := r.fill(); err != nil {
			return err
		}
		skipped, n := r.conv.skip(pos-r.pos, r.chunk)
		r.pos += skipped
		r.chunk = r.chunk[n:]
	}
	return nil
}

// fill makes sure that there is a chunk. An early end of the stream is ErrVirtualSize.
func (r *Reader) fill() error {
	if len(r.chunk) > 0 {
		return nil
	}
	chunk, err := r.s.next()
	if err == io.EOF {
		return r.s.m.otherEnd(r.virtual)
	}
	r.chunk = chunk
	return err
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (n int, err error) {
	if r.err != nil {
		return 0, r.err
	}
	p = p[:min(uint64(len(p)), r.Len())]
	for n < len(p) {
		if err := r.fill(); err != nil {
			r.err = err
			return n, err
		}
		nd, ns := r.conv.convert(p[n:], r.chunk)
		n += nd
		r.chunk = r.chunk[ns:]
		r.pos += uint64(nd)
	}
	if r.Len() == 0 {
		r.err = r.finish()
		if n == 0 {
			return 0, r.err
		}
	}
	return n, nil
}

// finish returns io.EOF, unless the message goes on where it should end.
func (r *Reader) finish() error {
	if r.pos < r.virtual {
		return io.EOF
	}
	if len(r.chunk) == 0 {
		_, err := r.s.next()
		if err == io.EOF && !r.assumed {
			r.s.m.virtual, r.s.m.sized = r.virtual, true
		}
		if err != nil {
			return err
		}
	}
	return r.s.m.otherEnd(r.virtual)
}

// Close gives the reader's buffers back.
func (r *Reader) Close() error {
	if r.err == nil || r.err == io.EOF {
		r.remember()
	}
	r.s.close()
	r.err = ErrClosed
	return nil
}

// bodyError says where the stored body is that err was found in. An error of the
// file system stays what it is; one of decompression is corruption.
func (m *Message) bodyError(err error) error {
	var corrupt *vfs.CorruptError
	var limit *LimitError
	var file *fs.PathError
	switch {
	case errors.As(err, &corrupt):
		return vfs.At(err, m.file.Name(), m.bodyOff)
	case errors.As(err, &limit), errors.As(err, &file):
		return err
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return &LimitError{Setting: "MaxWindowSize", Limit: m.store.cfg.MaxWindowSize}
	}
	return fmt.Errorf("%w: %w", m.corrupt(m.bodyOff, "body is a well-formed %s stream", m.compression), err)
}

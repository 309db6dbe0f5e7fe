package dbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/pierrec/lz4/v4"
)

// Dovecot's framing of LZ4 blocks (dovecot src/lib-compression/iostream-lz4.h):
//
//	off  len  field                                   encoding
//	  0   15  magic "Dovecot-LZ4" 0d 2a 9b c5
//	 15    4  most bytes that a chunk decompresses to   big-endian; 65536, at most 1 MiB
//	then chunks:
//	  0    4  compressed length                         big-endian, not 0
//	  4    n  LZ4 block
const (
	lz4Magic      = "Dovecot-LZ4\x0d\x2a\x9b\xc5"
	lz4HeaderSize = len(lz4Magic) + 4
	lz4MaxChunk   = 1 << 20
)

type lz4Decompressor struct {
	src      io.Reader
	maxChunk int
	in, out  []byte // compressed and decompressed chunk
	rest     []byte // of out, not read yet
}

var lz4Pool = sync.Pool{New: func() any { return new(lz4Decompressor) }}

var errLZ4 = errors.New("lz4: bad framing")

func newLZ4(src io.Reader) (decompressor, error) {
	var head [lz4HeaderSize]byte
	if _, err := io.ReadFull(src, head[:]); err != nil {
		return nil, fmt.Errorf("lz4: header: %w", err)
	}
	size := binary.BigEndian.Uint32(head[len(lz4Magic):])
	if string(head[:len(lz4Magic)]) != lz4Magic || size == 0 || size > lz4MaxChunk {
		return nil, fmt.Errorf("%w: chunk size %d", errLZ4, size)
	}
	z := lz4Pool.Get().(*lz4Decompressor)
	z.src, z.maxChunk, z.rest = src, int(size), nil
	return z, nil
}

func (z *lz4Decompressor) Read(p []byte) (int, error) {
	for len(z.rest) == 0 {
		if err := z.nextChunk(); err != nil {
			return 0, err
		}
	}
	n := copy(p, z.rest)
	z.rest = z.rest[n:]
	return n, nil
}

// nextChunk decompresses the next chunk into rest. At the end of the stream it returns io.EOF.
func (z *lz4Decompressor) nextChunk() error {
	var head [4]byte
	if _, err := io.ReadFull(z.src, head[:]); err != nil {
		return err // io.EOF: the regular end
	}
	size := binary.BigEndian.Uint32(head[:])
	if size == 0 || int64(size) > int64(lz4.CompressBlockBound(z.maxChunk)) {
		return fmt.Errorf("%w: compressed length %d", errLZ4, size)
	}
	z.in = grow(z.in, int(size))
	z.out = grow(z.out, z.maxChunk)
	if _, err := io.ReadFull(z.src, z.in); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	n, err := lz4.UncompressBlock(z.in, z.out)
	if err != nil {
		return err
	}
	z.rest = z.out[:n]
	return nil
}

func (z *lz4Decompressor) release() {
	z.src, z.rest = nil, nil
	lz4Pool.Put(z)
}

// grow returns a slice of n bytes, b's memory if it is large enough.
func grow(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

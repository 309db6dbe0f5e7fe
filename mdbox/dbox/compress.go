package dbox

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// compressor writes the compressed form of what is written to it; Close writes the end of the stream. release
// gives its buffers back; it is not used afterwards.
type compressor interface {
	io.WriteCloser
	release()
}

// ParseSaveCompression returns the compression for new messages with the name that Dovecot's settings give it (zlib_save,
// in 2.4 mail_compress_write_method): gz, lz4 or zstd; the empty string is Uncompressed. bz2 and xz are only read.
func ParseSaveCompression(method string) (Compression, error) {
	switch method {
	case "":
		return Uncompressed, nil
	case "gz":
		return Gzip, nil
	case "lz4":
		return LZ4, nil
	case "zstd":
		return Zstd, nil
	}
	return Uncompressed, fmt.Errorf("dbox: messages can not be saved as %q, but as gz, lz4 or zstd", method)
}

// newCompressor returns a compressor to dst, with the levels that Dovecot takes by default.
func newCompressor(c Compression, dst io.Writer) (compressor, error) {
	switch c {
	case Uncompressed:
		return plainCompressor{dst}, nil
	case Gzip:
		z := gzipWriterPool.Get().(*gzip.Writer)
		z.Reset(dst)
		return gzipCompressor{z}, nil
	case LZ4:
		z := lz4WriterPool.Get().(*lz4Compressor)
		z.dst, z.n, z.started = dst, 0, false
		return z, nil
	case Zstd:
		return newZstdCompressor(dst)
	}
	return nil, fmt.Errorf("dbox: messages can not be saved as %s", c)
}

type plainCompressor struct{ io.Writer }

func (plainCompressor) Close() error { return nil }
func (plainCompressor) release()     {}

const gzipLevel = 6 // zlib_save_level

var gzipWriterPool = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(nil, gzipLevel)
	if err != nil {
		panic(err) // the level is a constant
	}
	return z
}}

type gzipCompressor struct{ *gzip.Writer }

func (z gzipCompressor) release() {
	z.Reset(nil)
	gzipWriterPool.Put(z.Writer)
}

// zstdWriterPool holds encoders that encode in the calling goroutine (concurrency 1) and own no other.
var zstdWriterPool sync.Pool

type zstdCompressor struct{ *zstd.Encoder }

func newZstdCompressor(dst io.Writer) (compressor, error) {
	if z, ok := zstdWriterPool.Get().(*zstd.Encoder); ok {
		z.Reset(dst)
		return zstdCompressor{z}, nil
	}
	z, err := zstd.NewWriter(dst, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	return zstdCompressor{z}, nil
}

func (z zstdCompressor) release() {
	z.Reset(nil)
	zstdWriterPool.Put(z.Encoder)
}

// lz4Chunk is how much text a chunk holds, as Dovecot writes it.
const lz4Chunk = 64 << 10

// lz4Compressor writes Dovecot's framing, see lz4Decompressor.
type lz4Compressor struct {
	dst     io.Writer
	started bool // the header was written
	in      [lz4Chunk]byte
	n       int // bytes in in
	out     []byte
	c       lz4.Compressor
}

var lz4WriterPool = sync.Pool{New: func() any {
	return &lz4Compressor{out: make([]byte, 4+lz4.CompressBlockBound(lz4Chunk))}
}}

func (z *lz4Compressor) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if z.n == len(z.in) {
			if err := z.writeChunk(); err != nil {
				return 0, err
			}
		}
		n := copy(z.in[z.n:], p)
		z.n += n
		p = p[n:]
	}
	return total, nil
}

// writeChunk writes what is in the buffer, and before the first chunk the header.
func (z *lz4Compressor) writeChunk() error {
	if !z.started {
		z.started = true
		if _, err := z.dst.Write(binary.BigEndian.AppendUint32([]byte(lz4Magic), lz4Chunk)); err != nil {
			return err
		}
	}
	if z.n == 0 {
		return nil
	}
	n, err := z.c.CompressBlock(z.in[:z.n], z.out[4:])
	if err != nil {
		return err
	}
	if n == 0 { // not with room for the bound
		return fmt.Errorf("%w: chunk was not compressed", errLZ4)
	}
	z.n = 0
	binary.BigEndian.PutUint32(z.out, uint32(n))
	_, err = z.dst.Write(z.out[:4+n])
	return err
}

// Close writes the last chunk.
func (z *lz4Compressor) Close() error { return z.writeChunk() }

func (z *lz4Compressor) release() {
	z.dst = nil
	lz4WriterPool.Put(z)
}

package dbox

import (
	"bytes"
	"compress/bzip2"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Compression is how a body is stored. No field says it; the first bytes do
// (dovecot src/lib-compression/compression.c).
type Compression uint8

// Compressions, each with its magic.
const (
	Uncompressed Compression = iota
	Gzip                     // 1f 8b
	Bzip2                    // "BZh" and a digit 1 to 9
	LZ4                      // "Dovecot-LZ4" 0d 2a 9b c5: Dovecot's own framing
	Zstd                     // 28 b5 2f fd
	XZ                       // fd "7zXZ" 00
	// Encrypted is not a compression but stands in its place: mail_crypt's
	// "CRYPTED" 03 07. Such a message can not be read.
	Encrypted
)

var compressionNames = [...]string{"none", "gzip", "bzip2", "lz4", "zstd", "xz", "encrypted"}

func (c Compression) String() string { return compressionNames[c] }

// magicSize is how many bytes of a body DetectCompression needs to see.
const magicSize = 16

// DetectCompression returns the compression of a body from its first bytes, at
// least 16 of them unless the body is shorter.
func DetectCompression(b []byte) Compression {
	switch {
	case bytes.HasPrefix(b, []byte("\x1f\x8b")):
		return Gzip
	case len(b) >= 4 && string(b[:3]) == "BZh" && b[3] >= '1' && b[3] <= '9':
		return Bzip2
	case bytes.HasPrefix(b, []byte(lz4Magic)):
		return LZ4
	case bytes.HasPrefix(b, []byte("\x28\xb5\x2f\xfd")):
		return Zstd
	case bytes.HasPrefix(b, []byte(xzMagic)):
		return XZ
	case bytes.HasPrefix(b, []byte("CRYPTED\x03\x07")):
		return Encrypted
	}
	return Uncompressed
}

// decompressor is a stream of decompressed bytes. release gives its buffers
// back; it is not used afterwards.
type decompressor interface {
	io.Reader
	release()
}

// newDecompressor returns the decompressed form of src.
func newDecompressor(c Compression, src io.Reader, maxWindow uint64) (decompressor, error) {
	switch c {
	case Gzip:
		return newGzip(src)
	case Bzip2:
		return plainDecompressor{bzip2.NewReader(src)}, nil
	case LZ4:
		return newLZ4(src)
	case Zstd:
		return newZstd(src, maxWindow)
	case XZ:
		return newXZ(src, maxWindow)
	}
	return plainDecompressor{src}, nil
}

type plainDecompressor struct{ io.Reader }

func (plainDecompressor) release() {}

var gzipPool = sync.Pool{New: func() any { return new(gzip.Reader) }}

type gzipDecompressor struct{ *gzip.Reader }

func newGzip(src io.Reader) (decompressor, error) {
	z := gzipPool.Get().(*gzip.Reader)
	if err := z.Reset(src); err != nil {
		gzipPool.Put(z)
		return nil, err
	}
	return gzipDecompressor{z}, nil
}

func (z gzipDecompressor) release() { gzipPool.Put(z.Reader) }

// zstdPool holds decoders that decode in the calling goroutine (concurrency 1)
// and own no other.
var zstdPool sync.Pool

type zstdDecompressor struct{ *zstd.Decoder }

func newZstd(src io.Reader, maxWindow uint64) (decompressor, error) {
	window := zstd.WithDecoderMaxWindow(max(maxWindow, zstd.MinWindowSize))
	if z, ok := zstdPool.Get().(*zstd.Decoder); ok {
		if err := z.ResetWithOptions(src, window); err != nil {
			return nil, err
		}
		return zstdDecompressor{z}, nil
	}
	z, err := zstd.NewReader(src, window, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecodeBuffersBelow(0))
	if err != nil {
		return nil, err
	}
	return zstdDecompressor{z}, nil
}

func (z zstdDecompressor) release() {
	if z.Reset(nil) == nil {
		zstdPool.Put(z.Decoder)
	}
}

package dbox

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	"github.com/ulikunitz/xz/lzma"
)

// The xz container (The .xz File Format 1.2.1), as far as a single stream needs
// it; lzma decodes what is inside a block. The library's own container reader is
// not used, since it allocates whatever dictionary a block header asks for.
//
//	stream header, 12 bytes:  magic fd "7zXZ" 00; 00; check type; CRC32 of the two
//	block header:             size/4-1, flags, [compressed size], [size], filters, zeros, CRC32
//	block:                    LZMA2 data, zeros to a multiple of 4, check of the decompressed data
//	index:                    starts with 00, where a block header would have its size
const (
	xzMagic        = "\xfd7zXZ\x00"
	xzHeaderSize   = 12
	xzFilterLZMA2  = 0x21
	xzCheckNone    = 0x00
	xzCheckCRC32   = 0x01
	xzCheckCRC64   = 0x04
	xzCheckSHA256  = 0x0a
	xzBlockFilters = 0x03 // flags: number of filters - 1
	xzBlockPacked  = 0x40 // flags: compressed size present
	xzBlockSize    = 0x80 // flags: decompressed size present
)

var errXZ = errors.New("xz: bad container")

var crc64Table = crc64.MakeTable(crc64.ECMA)

// xzDecompressor reads the blocks of one xz stream.
type xzDecompressor struct {
	src     *countingReader
	maxDict uint64
	check   hash.Hash // of the current block; nil: the stream has no checks
	block   io.Reader // decompressed data of the current block; nil: between blocks
	start   uint64    // src.n where the block's data started
	done    bool
}

func newXZ(src io.Reader, maxDict uint64) (decompressor, error) {
	z := &xzDecompressor{src: &countingReader{r: bufio.NewReader(src)}, maxDict: maxDict}
	var head [xzHeaderSize]byte
	if _, err := io.ReadFull(z.src, head[:]); err != nil {
		return nil, fmt.Errorf("xz: stream header: %w", err)
	}
	if string(head[:6]) != xzMagic || head[6] != 0 || binary.LittleEndian.Uint32(head[8:]) != crc32.ChecksumIEEE(head[6:8]) {
		return nil, fmt.Errorf("%w: stream header", errXZ)
	}
	switch head[7] {
	case xzCheckNone:
	case xzCheckCRC32:
		z.check = crc32.NewIEEE()
	case xzCheckCRC64:
		z.check = crc64.New(crc64Table)
	case xzCheckSHA256:
		z.check = sha256.New()
	default:
		return nil, fmt.Errorf("%w: check type %d", errXZ, head[7])
	}
	return z, nil
}

func (z *xzDecompressor) Read(p []byte) (int, error) {
	for !z.done {
		if z.block == nil {
			if err := z.openBlock(); err != nil {
				return 0, noEOF(err)
			}
			continue
		}
		n, err := z.block.Read(p)
		if z.check != nil {
			z.check.Write(p[:n])
		}
		if err == io.EOF {
			if err = z.closeBlock(); err != nil {
				return n, noEOF(err)
			}
		}
		if n > 0 || err != nil {
			return n, noEOF(err)
		}
	}
	return 0, io.EOF
}

func (z *xzDecompressor) release() {}

// openBlock reads a block header; at the index it sets done.
func (z *xzDecompressor) openBlock() error {
	size, err := z.src.ReadByte()
	if err != nil {
		return err
	}
	if size == 0 {
		z.done = true
		return nil
	}
	head := make([]byte, (int(size)+1)*4)
	head[0] = size
	if _, err := io.ReadFull(z.src, head[1:]); err != nil {
		return err
	}
	dict, err := decodeXZBlockHeader(head)
	if err != nil {
		return err
	}
	if dict > z.maxDict {
		return &LimitError{Setting: "MaxWindowSize", Limit: z.maxDict}
	}
	if z.check != nil {
		z.check.Reset()
	}
	z.start = z.src.n
	z.block, err = lzma.Reader2Config{DictCap: max(int(dict), lzma.MinDictCap)}.NewReader2(z.src)
	return err
}

// decodeXZBlockHeader returns the dictionary size that the block's only filter asks for.
func decodeXZBlockHeader(head []byte) (dict uint64, err error) {
	body := head[:len(head)-4]
	if binary.LittleEndian.Uint32(head[len(body):]) != crc32.ChecksumIEEE(body) {
		return 0, fmt.Errorf("%w: checksum of the block header", errXZ)
	}
	flags := body[1]
	r := bytes.NewReader(body[2:])
	for _, present := range [...]byte{xzBlockPacked, xzBlockSize} {
		if flags&present != 0 {
			if _, err := binary.ReadUvarint(r); err != nil {
				return 0, fmt.Errorf("%w: block sizes", errXZ)
			}
		}
	}
	id, err1 := binary.ReadUvarint(r)
	n, err2 := binary.ReadUvarint(r)
	prop, err3 := r.ReadByte()
	if errors.Join(err1, err2, err3) != nil || flags&xzBlockFilters != 0 || id != xzFilterLZMA2 || n != 1 {
		return 0, fmt.Errorf("%w: the only filter is LZMA2", errXZ)
	}
	size, err := lzma.DecodeDictCap(prop)
	if err != nil {
		return 0, err
	}
	return uint64(size), nil
}

// closeBlock reads the padding and the check after a block's data.
func (z *xzDecompressor) closeBlock() error {
	z.block = nil
	for (z.src.n-z.start)%4 != 0 {
		if b, err := z.src.ReadByte(); err != nil || b != 0 {
			return fmt.Errorf("%w: block padding", errXZ)
		}
	}
	if z.check == nil {
		return nil
	}
	var buf [sha256.Size]byte
	stored := buf[:z.check.Size()]
	if _, err := io.ReadFull(z.src, stored); err != nil {
		return err
	}
	sum := z.check.Sum(nil)
	if z.check.Size() <= 8 { // the CRCs stand in little-endian order
		for i, j := 0, len(sum)-1; i < j; i, j = i+1, j-1 {
			sum[i], sum[j] = sum[j], sum[i]
		}
	}
	if !bytes.Equal(sum, stored) {
		return fmt.Errorf("%w: check of the block's data", errXZ)
	}
	return nil
}

// countingReader counts the bytes read from r.
type countingReader struct {
	r *bufio.Reader
	n uint64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += uint64(n)
	return n, err
}

func (c *countingReader) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

// noEOF turns io.EOF in the middle of a structure into io.ErrUnexpectedEOF.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

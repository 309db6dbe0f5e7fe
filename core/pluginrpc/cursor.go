package pluginrpc

import (
	"errors"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/roostmail/roost/core/pluginrpc/lane"
)

// cursor reads a message that gRPC received in several buffers (16 KiB each), or that lies in the memory of a lane in part,
// without putting them together. It does not own the buffers. A copy of a
// cursor is an independent position.
type cursor struct {
	bufs mem.BufferSlice
	i    int // buffer
	off  int // within bufs[i]
	left int // bytes to the end of what this cursor may read
}

// span is a part of a message that is read later.
type span = cursor

// scratchBytes is up to which size the copies of a message are made in one piece.
const scratchBytes = 64 << 10

var errTruncated = errors.New("truncated protobuf message")

func newCursor(bufs mem.BufferSlice) cursor { return cursor{bufs: bufs, left: bufs.Len()} }

// chunk returns the next bytes that lie together, at most n and not more than are left; nil at the end.
func (c *cursor) chunk(n int) []byte {
	n = min(n, c.left)
	for n > 0 && c.i < len(c.bufs) {
		b := c.bufs[c.i].ReadOnlyData()[c.off:]
		if len(b) == 0 {
			c.i, c.off = c.i+1, 0
			continue
		}
		n = min(n, len(b))
		c.off += n
		c.left -= n
		return b[:n:n]
	}
	return nil
}

// volatile reports whether the last chunk lies in the memory of a lane.
func (c *cursor) volatile() bool {
	if c.i == len(c.bufs) {
		return false
	}
	_, ok := c.bufs[c.i].(lane.Part)
	return ok
}

// take returns the next n bytes in one piece, which nobody changes. They are the received bytes
// if these lie together in memory of this process, else a copy at the end of scratch.
func (c *cursor) take(n int, scratch *[]byte) ([]byte, error) {
	if n < 0 || n > c.left {
		return nil, errTruncated
	}
	b := c.chunk(n)
	if len(b) == n && (n == 0 || !c.volatile()) {
		return b, nil
	}
	if cap(*scratch)-len(*scratch) < n { // what was taken before stays where it is
		*scratch = make([]byte, 0, max(n, min(2*cap(*scratch), scratchBytes)))
	}
	from := len(*scratch)
	*scratch = append(*scratch, b...)
	for len(*scratch)-from < n {
		*scratch = append(*scratch, c.chunk(n-(len(*scratch)-from))...)
	}
	return (*scratch)[from : from+n : from+n], nil
}

// cut returns the next n bytes as a span and goes on behind them.
func (c *cursor) cut(n int) (span, error) {
	if n < 0 || n > c.left {
		return span{}, errTruncated
	}
	s := *c
	s.left = n
	for n > 0 {
		n -= len(c.chunk(n))
	}
	return s, nil
}

func (c *cursor) varint() (uint64, error) {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		b := c.chunk(1)
		if b == nil {
			return 0, errTruncated
		}
		v |= uint64(b[0]&0x7f) << shift
		if b[0] < 0x80 {
			return v, nil
		}
	}
	return 0, errors.New("protobuf varint of more than 64 bits")
}

// tag returns the number and type of the next field.
func (c *cursor) tag() (protowire.Number, protowire.Type, error) {
	v, err := c.varint()
	if err != nil {
		return 0, 0, err
	}
	num, typ := protowire.DecodeTag(v)
	if num < protowire.MinValidNumber {
		return 0, 0, errors.New("invalid protobuf field number")
	}
	return num, typ, nil
}

// length returns the length of a length-delimited field.
func (c *cursor) length() (int, error) {
	v, err := c.varint()
	if err != nil {
		return 0, err
	}
	if v > uint64(c.left) {
		return 0, errTruncated
	}
	return int(v), nil
}

// skip goes over the value of an unknown field. Groups are refused: proto3 has none.
func (c *cursor) skip(typ protowire.Type) error {
	var n int
	var err error
	switch typ {
	case protowire.VarintType:
		_, err = c.varint()
		return err
	case protowire.Fixed32Type:
		n = 4
	case protowire.Fixed64Type:
		n = 8
	case protowire.BytesType:
		n, err = c.length()
	default:
		return errors.New("unknown protobuf wire type")
	}
	if err == nil {
		_, err = c.cut(n)
	}
	return err
}

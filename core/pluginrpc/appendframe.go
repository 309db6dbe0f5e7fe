package pluginrpc

import (
	"errors"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/roostmail/roost/core/pluginrpc/lane"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// Field number of roost.storage.v1.AppendRequest.body.
const fieldAppendBody protowire.Number = 3

// bodies holds the buffers of outBody.
var bodies = newBufferPool(appendBytes)

// bodyHead is at least what an AppendRequest has before the piece of a body, in bytes.
const bodyHead = 8

// outBody is an AppendRequest with a piece of the bodies, which is not copied on its way to gRPC. Over a lane it is put where the plugin reads it,
// if there is room.
type outBody struct {
	slots slotter   // where to get slots; nil: there are none
	slot  lane.Slot // the piece is in it, if it has Room, behind bodyHead bytes
	piece *[]byte   // from bodies, or in slot; nil while empty
}

// room returns the part of the buffer that is not filled yet.
func (f *outBody) room() []byte {
	if f.piece == nil {
		f.begin()
	}
	b := *f.piece
	return b[len(b):cap(b)]
}

func (f *outBody) begin() {
	if f.slots != nil {
		if slot, ok := f.slots.Slot(); ok {
			b := slot.Room[bodyHead:bodyHead:min(len(slot.Room), bodyHead+appendBytes)]
			f.slot, f.piece = slot, &b
			return
		}
	}
	f.piece = bodies.Get(0)
}

// filled says that the first n bytes of room were filled, and returns whether the buffer is full.
func (f *outBody) filled(n int) bool {
	b := *f.piece
	*f.piece = b[:len(b)+n]
	return len(b)+n == cap(b)
}

func (f *outBody) empty() bool { return f.piece == nil || len(*f.piece) == 0 }

// marshal encodes the request. The buffer goes over to gRPC, which gives it back to the pool when it is written, or to the lane.
func (f *outBody) marshal() (mem.BufferSlice, error) {
	head := protowire.AppendTag(make([]byte, 0, bodyHead), fieldAppendBody, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(len(*f.piece)))
	piece, slot := f.piece, f.slot
	f.piece, f.slot = nil, lane.Slot{}
	if slot.Room != nil {
		from := bodyHead - len(head)
		copy(slot.Room[from:], head)
		return mem.BufferSlice{slot.Part(from, bodyHead+len(*piece))}, nil
	}
	return mem.BufferSlice{mem.SliceBuffer(head), mem.NewBuffer(piece, bodies)}, nil
}

// reset gives the buffer back.
func (f *outBody) reset() {
	if f.piece != nil && f.slot.Room == nil {
		bodies.Put(f.piece)
	}
	f.piece, f.slot = nil, lane.Slot{}
}

// inAppend is a received AppendRequest. Pieces of bodies stay in the buffers in which they came.
type inAppend struct {
	bufs mem.BufferSlice
	body span
	rest storagev1.AppendRequest // header and messages
}

// unmarshal parses data. It keeps references to that of a body until reset.
func (f *inAppend) unmarshal(data mem.BufferSlice) error {
	f.reset()
	c := newCursor(data)
	num, typ, err := c.tag()
	if err != nil || num != fieldAppendBody || typ != protowire.BytesType {
		return proto.Unmarshal(data.Materialize(), &f.rest) // it tells what is wrong
	}
	n, err := c.length()
	if err != nil {
		return err
	}
	if f.body, err = c.cut(n); err != nil {
		return err
	}
	if c.left > 0 {
		return errors.New("a body is not alone in its AppendRequest")
	}
	data.Ref()
	f.bufs = data
	return nil
}

// read moves the next bytes of the body to p.
func (f *inAppend) read(p []byte) (n int) {
	for n < len(p) {
		b := f.body.chunk(len(p) - n)
		if b == nil {
			break
		}
		n += copy(p[n:], b)
	}
	return n
}

// reset gives the buffers back.
func (f *inAppend) reset() {
	f.bufs.Free()
	f.bufs, f.body = nil, span{}
	f.rest.Reset()
}

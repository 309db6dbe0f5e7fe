package pluginrpc

import (
	"errors"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// Field number of roost.storage.v1.AppendRequest.body.
const fieldAppendBody protowire.Number = 3

// bodies holds the buffers of outBody.
var bodies = newBufferPool(appendBytes)

// outBody is an AppendRequest with a piece of the bodies, which is not copied on its way to gRPC.
type outBody struct {
	piece *[]byte // from bodies, nil while empty
}

// room returns the part of the buffer that is not filled yet.
func (f *outBody) room() []byte {
	if f.piece == nil {
		f.piece = bodies.Get(0)
	}
	b := *f.piece
	return b[len(b):cap(b)]
}

// filled says that the first n bytes of room were filled, and returns whether the buffer is full.
func (f *outBody) filled(n int) bool {
	b := *f.piece
	*f.piece = b[:len(b)+n]
	return len(b)+n == cap(b)
}

func (f *outBody) empty() bool { return f.piece == nil || len(*f.piece) == 0 }

// marshal encodes the request. The buffer goes over to gRPC, which gives it back to the pool when it is written.
func (f *outBody) marshal() (mem.BufferSlice, error) {
	head := protowire.AppendTag(nil, fieldAppendBody, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(len(*f.piece)))
	piece := mem.NewBuffer(f.piece, bodies)
	f.piece = nil
	return mem.BufferSlice{mem.SliceBuffer(head), piece}, nil
}

// reset gives the buffer back.
func (f *outBody) reset() {
	if f.piece != nil {
		bodies.Put(f.piece)
		f.piece = nil
	}
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

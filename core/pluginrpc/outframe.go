package pluginrpc

import (
	"encoding/binary"
	"sync"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc/lane"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// Field numbers of roost.storage.v1.FetchResponse.
const (
	fieldBody          protowire.Number = 1
	fieldUIDs          protowire.Number = 2
	fieldLengths       protowire.Number = 3
	fieldSizes         protowire.Number = 4
	fieldInternalDates protowire.Number = 5
	fieldSaveDates     protowire.Number = 6
	fieldBodySizes     protowire.Number = 7
	fieldBodyIsMessage protowire.Number = 8
	fieldErrors        protowire.Number = 9
	fieldLast          protowire.Number = 10
	fieldPreviews      protowire.Number = 11
	fieldData          protowire.Number = 15
)

// Positions in an element of the lengths column.
const (
	lenGUID = iota
	lenHeaderFields
	lenBodyStructure
	lenBody
	lenPerMessage
)

// bufferPool holds buffers of one size.
type bufferPool struct {
	size int
	pool sync.Pool
}

// frames holds the payload buffers of frames.
var frames = newBufferPool(frameBytes)

func newBufferPool(size int) *bufferPool {
	return &bufferPool{size: size, pool: sync.Pool{New: func() any { b := make([]byte, 0, size); return &b }}}
}

// Get implements mem.BufferPool.
func (p *bufferPool) Get(int) *[]byte { return p.pool.Get().(*[]byte) }

// Put takes a buffer back, unless it had to be larger than the others.
func (p *bufferPool) Put(b *[]byte) {
	if cap(*b) == p.size {
		*b = (*b)[:0]
		p.pool.Put(b)
	}
}

// outFrame collects one FetchResponse.
//
// All payload stands in one buffer, pooled or in the memory of a lane: first the continuation of the
// previous frame's last body, then data. It is handed to gRPC, or the lane, as it is; the columns are
// copied at marshal, being small.
type outFrame struct {
	slots   slotter   // where to get slots; nil: there are none
	slot    lane.Slot // payload was begun in it, if it has Room
	payload *[]byte   // from frames, or in slot unless it did not fit; nil while empty
	cont    int       // bytes of payload that are the continuation
	last    bool      // see FetchMany

	uids, lengths, sizes, internalDates, saveDates, bodySizes, bodyIsMessage, previews []byte

	errors []*storagev1.FetchError
}

// slotter is a stream over a lane, which may have room for the next message.
type slotter interface{ Slot() (lane.Slot, bool) }

// messages returns the number of messages in the frame.
func (f *outFrame) messages() int { return len(f.uids) / 4 }

func (f *outFrame) empty() bool {
	return f.messages() == 0 && (f.payload == nil || len(*f.payload) == 0)
}

// room returns how many payload bytes still fit.
func (f *outFrame) room() int {
	if f.payload == nil {
		return frameBytes
	}
	return frameBytes - len(*f.payload)
}

// begin sees to it that there is a buffer.
func (f *outFrame) begin() {
	if f.payload != nil {
		return
	}
	if f.slots != nil {
		if slot, ok := f.slots.Slot(); ok {
			b := slot.Room[:0:min(frameBytes, len(slot.Room))]
			f.slot, f.payload = slot, &b
			return
		}
	}
	f.payload = frames.Get(0)
}

func (f *outFrame) append(p []byte) {
	f.begin()
	*f.payload = append(*f.payload, p...)
}

func (f *outFrame) appendString(s string) {
	f.begin()
	*f.payload = append(*f.payload, s...)
}

// tail returns n bytes of the buffer behind the next skip ones, nil if there are not as many.
func (f *outFrame) tail(skip, n int) []byte {
	f.begin()
	b := *f.payload
	if n > cap(b)-len(b)-skip {
		return nil
	}
	return b[:cap(b)][len(b)+skip:][:n:n]
}

// add starts a message. Its text must fit, or the frame be empty.
func (f *outFrame) add(m *backend.FetchedMessage) {
	le := binary.LittleEndian
	f.uids = le.AppendUint32(f.uids, m.UID)
	if m.Err != nil {
		f.errors = append(f.errors, &storagev1.FetchError{Index: uint32(f.messages() - 1), Error: errorToProto(m.Err)})
		m = &backend.FetchedMessage{}
	}
	f.lengths = le.AppendUint32(f.lengths, uint32(len(m.GUID)))
	f.lengths = le.AppendUint32(f.lengths, uint32(len(m.HeaderFields)))
	f.lengths = le.AppendUint32(f.lengths, uint32(len(m.BodyStructure)))
	f.lengths = le.AppendUint32(f.lengths, 0)
	f.sizes = le.AppendUint64(f.sizes, m.Size)
	f.internalDates = le.AppendUint64(f.internalDates, uint64(m.InternalDate))
	f.saveDates = le.AppendUint64(f.saveDates, uint64(m.SaveDate))
	f.bodySizes = le.AppendUint64(f.bodySizes, m.BodySize)
	whole := byte(0)
	if m.BodyIsMessage {
		whole = 1
	}
	f.bodyIsMessage = append(f.bodyIsMessage, whole)
	preview := uint32(0)
	if m.Preview != nil {
		preview = uint32(len(m.Preview)) + 1
	}
	f.previews = le.AppendUint32(f.previews, preview)
	f.appendString(m.GUID)
	f.append(m.HeaderFields)
	f.append(m.BodyStructure)
	f.append(m.Preview)
}

// addBody appends a piece of the body of the last message, of this frame or of the one before.
func (f *outFrame) addBody(p []byte) {
	if next := f.tail(0, len(p)); len(next) > 0 && &next[0] == &p[0] {
		*f.payload = (*f.payload)[:len(*f.payload)+len(p)] // it was put there
	} else {
		f.append(p)
	}
	if f.messages() == 0 {
		f.cont += len(p)
		return
	}
	at := f.lengths[len(f.lengths)-4:]
	binary.LittleEndian.PutUint32(at, binary.LittleEndian.Uint32(at)+uint32(len(p)))
}

// take returns the payload, which is not f's any more. A pooled buffer goes back to the pool when it is freed.
func (f *outFrame) take() mem.Buffer {
	p, slot := f.payload, f.slot
	f.payload, f.slot = nil, lane.Slot{}
	switch {
	case p == nil || len(*p) == 0 && slot.Room != nil:
		return mem.SliceBuffer(nil)
	case slot.Room == nil:
		return mem.NewBuffer(p, frames)
	case &(*p)[0] == &slot.Room[0]:
		return slot.Part(0, len(*p))
	}
	return mem.SliceBuffer(*p) // it has grown out of the slot
}

// marshal encodes the frame. The payload buffer goes over to gRPC, which
// gives it back to the pool when it is written; reset must follow.
func (f *outFrame) marshal() (mem.BufferSlice, error) {
	payload := f.take()
	size := payload.Len()
	defer payload.Free()

	var out mem.BufferSlice
	if f.cont > 0 {
		head := protowire.AppendTag(nil, fieldBody, protowire.BytesType)
		out = append(out, mem.SliceBuffer(protowire.AppendVarint(head, uint64(f.cont))), payload.Slice(0, f.cont))
	}
	head, err := f.marshalColumns(size - f.cont)
	if err != nil {
		out.Free()
		return nil, err
	}
	if len(head) > 0 {
		out = append(out, mem.SliceBuffer(head))
	}
	if size > f.cont {
		out = append(out, payload.Slice(f.cont, size))
	}
	return out, nil
}

// marshalColumns encodes everything between the continuation and the bytes of data.
func (f *outFrame) marshalColumns(dataBytes int) ([]byte, error) {
	b := make([]byte, 0, 64+len(f.uids)+len(f.lengths)+4*len(f.sizes)+len(f.bodyIsMessage)+len(f.previews))
	for _, c := range []struct {
		num   protowire.Number
		bytes []byte
	}{
		{fieldUIDs, f.uids}, {fieldLengths, f.lengths}, {fieldSizes, f.sizes}, {fieldInternalDates, f.internalDates},
		{fieldSaveDates, f.saveDates}, {fieldBodySizes, f.bodySizes}, {fieldBodyIsMessage, f.bodyIsMessage}, {fieldPreviews, f.previews},
	} {
		if allZero(c.bytes) {
			continue
		}
		b = protowire.AppendTag(b, c.num, protowire.BytesType)
		b = protowire.AppendBytes(b, c.bytes)
	}
	for _, e := range f.errors {
		p, err := proto.Marshal(e)
		if err != nil {
			return nil, err
		}
		b = protowire.AppendTag(b, fieldErrors, protowire.BytesType)
		b = protowire.AppendBytes(b, p)
	}
	if f.last {
		b = protowire.AppendVarint(protowire.AppendTag(b, fieldLast, protowire.VarintType), 1)
	}
	if dataBytes > 0 {
		b = protowire.AppendTag(b, fieldData, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(dataBytes))
	}
	return b, nil
}

// allZero reports whether a column may be left out.
func allZero(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
	}
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// reset empties the frame for the next response and keeps its columns' room.
func (f *outFrame) reset() {
	f.take().Free()
	*f = outFrame{
		slots: f.slots,
		uids:  f.uids[:0], lengths: f.lengths[:0], sizes: f.sizes[:0], internalDates: f.internalDates[:0],
		saveDates: f.saveDates[:0], bodySizes: f.bodySizes[:0], bodyIsMessage: f.bodyIsMessage[:0], previews: f.previews[:0],
	}
}

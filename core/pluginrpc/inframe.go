package pluginrpc

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// inFrame is a received FetchResponse. Bodies stay in the buffers in which they
// came; the columns are put together where they cross a buffer's end. What lies in the memory of a lane is copied, but for bodies.
type inFrame struct {
	bufs    mem.BufferSlice
	scratch []byte

	body span
	data span
	last bool // see FetchMany

	uids, lengths, sizes, internalDates, saveDates, bodySizes, bodyIsMessage, previews []byte

	errors []*storagev1.FetchError
}

// unmarshal parses data and keeps references to it until reset.
func (f *inFrame) unmarshal(data mem.BufferSlice) error {
	f.reset()
	data.Ref()
	f.bufs = data
	for c := newCursor(data); c.left > 0; {
		num, typ, err := c.tag()
		if err != nil {
			return err
		}
		if err := f.field(&c, num, typ); err != nil {
			return err
		}
	}
	return nil
}

// TakesParts implements lane.PartsTaker.
func (f *inFrame) TakesParts() {}

// column returns where the bytes of a field go, nil if it is not a column.
func (f *inFrame) column(num protowire.Number) *[]byte {
	switch num {
	case fieldUIDs:
		return &f.uids
	case fieldLengths:
		return &f.lengths
	case fieldSizes:
		return &f.sizes
	case fieldInternalDates:
		return &f.internalDates
	case fieldSaveDates:
		return &f.saveDates
	case fieldBodySizes:
		return &f.bodySizes
	case fieldBodyIsMessage:
		return &f.bodyIsMessage
	case fieldPreviews:
		return &f.previews
	}
	return nil
}

func (f *inFrame) field(c *cursor, num protowire.Number, typ protowire.Type) error {
	if num == fieldLast && typ == protowire.VarintType {
		v, err := c.varint()
		f.last = v != 0
		return err
	}
	if typ != protowire.BytesType {
		return c.skip(typ)
	}
	n, err := c.length()
	if err != nil {
		return err
	}
	if col := f.column(num); col != nil {
		*col, err = c.take(n, &f.scratch)
		return err
	}
	switch num {
	case fieldBody:
		f.body, err = c.cut(n)
	case fieldData:
		f.data, err = c.cut(n)
	case fieldErrors:
		var b []byte
		if b, err = c.take(n, &f.scratch); err != nil {
			return err
		}
		e := new(storagev1.FetchError)
		if err = proto.Unmarshal(b, e); err == nil {
			f.errors = append(f.errors, e)
		}
	default:
		_, err = c.cut(n)
	}
	return err
}

// check holds the lengths of the columns against the number of messages. The error is the broken rule.
func (f *inFrame) check() error {
	n := len(f.uids) / 4
	if len(f.uids)%4 != 0 {
		return fmt.Errorf("column uids has %d bytes, not a multiple of 4", len(f.uids))
	}
	for _, c := range []struct {
		name  string
		bytes []byte
		size  int
	}{
		{"lengths", f.lengths, 4 * lenPerMessage}, {"sizes", f.sizes, 8}, {"internal_dates", f.internalDates, 8},
		{"save_dates", f.saveDates, 8}, {"body_sizes", f.bodySizes, 8}, {"body_is_message", f.bodyIsMessage, 1},
		{"preview_lengths", f.previews, 4},
	} {
		if len(c.bytes) != 0 && len(c.bytes) != n*c.size {
			return fmt.Errorf("column %s has %d bytes for %d messages", c.name, len(c.bytes), n)
		}
	}
	var sum uint64
	for b := f.lengths; len(b) >= 4; b = b[4:] {
		sum += uint64(binary.LittleEndian.Uint32(b))
	}
	for i := range len(f.previews) / 4 {
		n, _ := f.preview(i)
		sum += uint64(n)
	}
	if sum != uint64(f.data.left) {
		return fmt.Errorf("lengths add up to %d bytes, data has %d", sum, f.data.left)
	}
	last := -1
	for _, e := range f.errors {
		if int64(e.Index) <= int64(last) || int64(e.Index) >= int64(n) || e.Error == nil {
			return fmt.Errorf("error for message number %d of %d", e.Index, n)
		}
		last = int(e.Index)
	}
	return nil
}

// empty reports whether the response says nothing: as the last one it says that there is no more.
func (f *inFrame) empty() bool { return len(f.uids) == 0 && f.body.left == 0 && !f.last }

// length returns element which of message i's lengths.
func (f *inFrame) length(i, which int) int {
	if len(f.lengths) == 0 {
		return 0
	}
	return int(binary.LittleEndian.Uint32(f.lengths[4*(i*lenPerMessage+which):]))
}

// preview returns the length of message i's preview, and whether it is known.
func (f *inFrame) preview(i int) (n int, known bool) {
	if len(f.previews) == 0 {
		return 0, false
	}
	v := binary.LittleEndian.Uint32(f.previews[4*i:])
	return int(max(v, 1) - 1), v > 0
}

// uint64At returns element i of a column that may have been left out.
func uint64At(col []byte, i int) uint64 {
	if len(col) == 0 {
		return 0
	}
	return binary.LittleEndian.Uint64(col[8*i:])
}

// message reads the text of message i from data into m; check must have
// succeeded, and messages be read in order, each followed by its body.
// m refers to the frame until reset.
func (f *inFrame) message(i int, m *backend.FetchedMessage) error {
	*m = backend.FetchedMessage{
		UID:           binary.LittleEndian.Uint32(f.uids[4*i:]),
		Size:          uint64At(f.sizes, i),
		InternalDate:  int64(uint64At(f.internalDates, i)),
		SaveDate:      int64(uint64At(f.saveDates, i)),
		BodySize:      uint64At(f.bodySizes, i),
		BodyIsMessage: len(f.bodyIsMessage) != 0 && f.bodyIsMessage[i] != 0,
	}
	if len(f.errors) > 0 && int(f.errors[0].Index) == i {
		m.Err = errorFromProto(f.errors[0].Error)
		f.errors = f.errors[1:]
	}
	guid, err := f.data.take(f.length(i, lenGUID), &f.scratch)
	if err != nil {
		return err
	}
	m.GUID = string(guid)
	if m.HeaderFields, err = f.data.take(f.length(i, lenHeaderFields), &f.scratch); err != nil {
		return err
	}
	if m.BodyStructure, err = f.data.take(f.length(i, lenBodyStructure), &f.scratch); err != nil {
		return err
	}
	n, known := f.preview(i)
	if !known {
		return nil
	}
	if m.Preview, err = f.data.take(n, &f.scratch); m.Preview == nil && err == nil {
		m.Preview = []byte{}
	}
	return err
}

// reset gives the buffers back.
func (f *inFrame) reset() {
	f.bufs.Free()
	*f = inFrame{scratch: f.scratch[:0]}
}

package pluginrpc

import (
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that this one wraps
	"google.golang.org/grpc/mem"

	"github.com/roostmail/roost/core/pluginrpc/lane"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// codec is gRPC's protobuf codec, but for the types that encode and decode
// themselves without the copies of the generated code. The bytes are the same
// protobuf messages, so the other side needs no such codec.
type codec struct {
	encoding.CodecV2
	refs *receivedRefs // nil: requests are not received here
}

func newCodec(refs *receivedRefs) codec { return codec{encoding.GetCodecV2("proto"), refs} }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	switch f := v.(type) {
	case *outFrame:
		return f.marshal()
	case *outBody:
		return f.marshal()
	case *storagev1.OpenResponse:
		if f.Header == nil && f.Messages != nil {
			return marshalOpened(f.Messages), nil
		}
	case lane.Raw:
		return mem.BufferSlice{mem.SliceBuffer(f)}, nil
	}
	return c.CodecV2.Marshal(v)
}

// onlyBytes returns the bytes of data that are neither shared nor given back to a pool.
func onlyBytes(data mem.BufferSlice) ([]byte, bool) {
	if len(data) != 1 {
		return nil, false
	}
	b, ok := data[0].(mem.SliceBuffer)
	return b, ok
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch f := v.(type) {
	case *inFrame:
		return f.unmarshal(data)
	case *inAppend:
		return f.unmarshal(data)
	case *storagev1.OpenResponse:
		if b, ok := onlyBytes(data); ok {
			if f.Messages = unmarshalOpened(b); f.Messages != nil {
				return nil
			}
		}
	case mailboxed:
		if done, err := c.refs.unmarshal(data, f); done || err != nil {
			return err
		}
	}
	return c.CodecV2.Unmarshal(data, v)
}

package pluginrpc

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// testFrame is a response that uses every field, as generated code sees it.
func testFrame() *storagev1.FetchResponse {
	return &storagev1.FetchResponse{
		Body:           []byte("end of the last"),
		Uids:           appendUint32s(nil, []uint32{7, 9}),
		Lengths:        appendUint32s(nil, []uint32{4, 6, 3, 5, 0, 0, 0, 0}),
		Sizes:          appendUint64s(nil, []uint64{1 << 33, 0}),
		InternalDates:  appendUint64s(nil, []uint64{1<<64 - 1, 0}),
		SaveDates:      appendUint64s(nil, []uint64{12, 0}),
		BodySizes:      appendUint64s(nil, []uint64{5, 0}),
		BodyIsMessage:  []byte{1, 0},
		PreviewLengths: appendUint32s(nil, []uint32{3, 0}),
		Errors:         []*storagev1.FetchError{{Index: 1, Error: errorToProto(backend.Errorf(backend.KindExpunged, "gone"))}},
		Data:           []byte("guidA: b\r\nTXTPVhello"),
	}
}

// fillFrame makes testFrame through the encoder.
func fillFrame(t *testing.T, f *outFrame) {
	t.Helper()
	f.addBody([]byte("end of the last"))
	f.add(&backend.FetchedMessage{UID: 7, Size: 1 << 33, InternalDate: -1, SaveDate: 12, GUID: "guid",
		HeaderFields: []byte("A: b\r\n"), BodyStructure: []byte("TXT"), Preview: []byte("PV"), BodySize: 5, BodyIsMessage: true})
	f.addBody([]byte("hello"))
	f.add(&backend.FetchedMessage{UID: 9, Err: backend.Errorf(backend.KindExpunged, "gone")})
}

func TestOutFrameIsAFetchResponse(t *testing.T) {
	var f outFrame
	fillFrame(t, &f)
	for range 2 { // the second time with reused columns
		bufs, err := f.marshal()
		if err != nil {
			t.Fatal(err)
		}
		wire := bufs.Materialize()
		bufs.Free()
		var got storagev1.FetchResponse
		if err := proto.Unmarshal(wire, &got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(testFrame(), &got, protocmp.Transform()); d != "" {
			t.Errorf("frame differs from the generated message: %s", d)
		}
		f.reset()
		if !f.empty() {
			t.Error("the frame is not empty after reset")
		}
		fillFrame(t, &f)
	}
	f.reset()
}

// splitBuffers cuts wire into buffers of n bytes, as gRPC receives it.
func splitBuffers(wire []byte, n int) mem.BufferSlice {
	var out mem.BufferSlice
	for len(wire) > 0 {
		k := min(n, len(wire))
		out = append(out, mem.SliceBuffer(wire[:k]))
		wire = wire[k:]
	}
	return out
}

func TestInFrameReadsAFetchResponse(t *testing.T) {
	wire, err := proto.Marshal(testFrame())
	if err != nil {
		t.Fatal(err)
	}
	// An unknown field of each wire type must not disturb.
	wire = append(wire, 0xa0, 0x06, 0x01, 0xa5, 0x06, 1, 2, 3, 4, 0xa1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8, 0xa2, 0x06, 0x02, 'x', 'y')
	for n := 1; n <= len(wire); n++ {
		var f inFrame
		if err := f.unmarshal(splitBuffers(wire, n)); err != nil {
			t.Fatalf("buffers of %d bytes: %v", n, err)
		}
		if err := f.check(); err != nil {
			t.Fatalf("buffers of %d bytes: %v", n, err)
		}
		sink := &collector{got: []collected{{}}}
		r := fetchReceiver{sink: sink, wanted: []uint32{7, 8, 9}, left: 15}
		if err := r.frame(&f); err != nil {
			t.Fatalf("buffers of %d bytes: %v", n, err)
		}
		checkFetched(t, []collected{
			{Body: []byte("end of the last")},
			{Body: []byte("hello"), FetchedMessage: backend.FetchedMessage{UID: 7, Size: 1 << 33, InternalDate: -1, SaveDate: 12, GUID: "guid",
				HeaderFields: []byte("A: b\r\n"), BodyStructure: []byte("TXT"), Preview: []byte("PV"), BodySize: 5, BodyIsMessage: true}},
			{FetchedMessage: backend.FetchedMessage{UID: 9, Err: backend.Errorf(backend.KindExpunged, "gone")}},
		}, sink.got)
		f.reset()
	}
}

func TestInFrameRefusesTruncatedMessages(t *testing.T) {
	wire, err := proto.Marshal(testFrame())
	if err != nil {
		t.Fatal(err)
	}
	for n := range wire {
		cut := wire[:n]
		var f inFrame
		ours := f.unmarshal(splitBuffers(cut, 5))
		generated := proto.Unmarshal(cut, new(storagev1.FetchResponse))
		if (ours == nil) != (generated == nil) {
			t.Errorf("%d bytes: %v, generated code says %v", n, ours, generated)
		}
		f.reset()
	}
}

// FuzzInFrame: whatever arrives, a frame is refused, or delivered without panic and
// without more bytes than came.
func FuzzInFrame(f *testing.F) {
	for _, m := range []*storagev1.FetchResponse{
		testFrame(),
		{Body: []byte("x")},
		{Uids: []byte{1, 0, 0, 0}, Lengths: bytes.Repeat([]byte{0xff}, 16)},
		{Uids: []byte{1, 0, 0}, BodySizes: []byte{1}},
		{Uids: []byte{1, 0, 0, 0, 2, 0, 0, 0}, PreviewLengths: []byte{3, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, Data: []byte("xy")},
		{Errors: []*storagev1.FetchError{{Index: 1 << 31}}},
	} {
		wire, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire, 7)
	}
	f.Fuzz(func(t *testing.T, wire []byte, n int) {
		if n < 1 {
			return
		}
		var in inFrame
		defer in.reset()
		if in.unmarshal(splitBuffers(wire, n)) != nil {
			return
		}
		if in.check() != nil {
			return
		}
		var got uint64
		sink := countingSink{&got}
		r := fetchReceiver{sink: sink, wanted: []uint32{1, 2, 3, 7, 9}, left: uint64(in.body.left)}
		if r.frame(&in) == nil && got > uint64(len(wire)) {
			t.Errorf("%d bytes were delivered out of %d", got, len(wire))
		}
	})
}

// countingSink counts body bytes.
type countingSink struct{ n *uint64 }

func (c countingSink) Message(*backend.FetchedMessage) error { return nil }
func (c countingSink) Body(p []byte) error                   { *c.n += uint64(len(p)); return nil }

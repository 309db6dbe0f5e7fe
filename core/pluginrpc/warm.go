package pluginrpc

import (
	"sync"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	pluginv1 "github.com/roostmail/roost/proto/roost/plugin/v1"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// warmStorage encodes and decodes one of each message of what a client usually asks for first, so that the tables by which protobuf does that are
// made when a process starts, and not while the first client waits. That takes some hundred microseconds.
var warmStorage = sync.OnceFunc(func() {
	ref := &storagev1.MailboxRef{User: &pluginv1.User{Name: "x", Fields: map[string][]byte{"x": nil}}, Name: "x"}
	columns := &storagev1.Columns{Uids: []byte{1}}
	codec := newCodec(newReceivedRefs())
	for _, m := range []proto.Message{
		&storagev1.OpenRequest{Mailbox: ref},
		&storagev1.OpenResponse{Header: &storagev1.SnapshotHeader{UidNext: 1}, Messages: columns},
		&storagev1.ChangesRequest{Mailbox: ref},
		&storagev1.ChangesResponse{Header: &storagev1.ChangesHeader{UidNext: 1}, Updated: columns},
		&storagev1.ClaimRecentRequest{Mailbox: ref},
		&storagev1.ClaimRecentResponse{Header: &storagev1.ClaimRecentHeader{Next: 1}},
		&storagev1.FetchRequest{Mailbox: ref},
	} {
		if b, err := proto.Marshal(m); err == nil {
			_ = codec.Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, m.ProtoReflect().New().Interface())
		}
	}
})

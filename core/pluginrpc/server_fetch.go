package pluginrpc

import (
	"context"
	"fmt"
	"io"

	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

func (s *storageServer) Fetch(r *storagev1.FetchRequest, stream grpc.ServerStreamingServer[storagev1.FetchResponse]) error {
	sink := &fetchSender{stream: stream, text: -1}
	if g, ok := stream.(*grpc.GenericServerStream[storagev1.FetchRequest, storagev1.FetchResponse]); ok {
		sink.frame.slots, _ = g.ServerStream.(slotter)
	}
	defer sink.frame.reset()
	return s.fetch(stream.Context(), r, sink)
}

func (s *storageServer) FetchMany(stream grpc.BidiStreamingServer[storagev1.FetchRequest, storagev1.FetchResponse]) error {
	sink := &fetchSender{stream: stream, many: true, text: -1}
	for {
		r, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		ctx := stream.Context()
		if r.Request != 0 {
			ctx = backend.WithOrigin(ctx, backend.Origin{Request: r.Request, User: r.GetMailbox().GetUser().GetName()})
		}
		if err := s.fetch(ctx, r, sink); err != nil {
			return err
		}
	}
}

func (s *storageServer) fetch(ctx context.Context, r *storagev1.FetchRequest, sink *fetchSender) error {
	if len(r.Uids)%4 != 0 {
		return backend.Errorf(backend.KindInvalidArgument, "column uids has %d bytes", len(r.Uids))
	}
	req := &backend.FetchRequest{
		Mailbox:      s.s.refs.ref(r.Mailbox),
		UIDs:         decodeUint32s(make([]uint32, 0, len(r.Uids)/4), r.Uids),
		Items:        backend.FetchItems(r.Items),
		HeaderFields: r.HeaderFields,
		Offset:       r.Offset,
		Length:       r.Length,
	}
	var err error
	if req.MailboxID, err = optionalIDFromProto("mailbox_id", r.MailboxId); err != nil {
		return err
	}
	err = s.storage.Fetch(ctx, req, sink)
	if sink.err != nil {
		return sink.err
	}
	if err != nil {
		return err
	}
	return sink.finish()
}

// optionalIDFromProto is the inverse of optionalID.
func optionalIDFromProto(field string, b []byte) (id [16]byte, err error) {
	if n := copy(id[:], b); n != len(b) || n != 0 && n != len(id) {
		return id, backend.Errorf(backend.KindInvalidArgument, "%s of %d bytes", field, len(b))
	}
	return id, nil
}

// fetchSender is the FetchSink of a plugin's Fetch: it packs messages into frames and sends them.
type fetchSender struct {
	stream grpc.ServerStream
	many   bool // FetchMany: tell where the answer ends
	frame  outFrame
	uid    uint32 // of the message whose body is being sent
	left   uint64 // bytes of it that are still to come
	text   int    // what the text of the next message must have, since there was given room behind it; -1: anything
	err    error  // the first failure; nothing is sent after it
}

// textSize returns how many bytes of a message are not of its body.
func textSize(m *backend.FetchedMessage) int {
	return len(m.GUID) + len(m.HeaderFields) + len(m.BodyStructure) + len(m.Preview)
}

// Room implements backend.RoomySink.
func (s *fetchSender) Room(m *backend.FetchedMessage, n int) []byte {
	text := 0
	if m != nil {
		text = textSize(m)
	}
	if s.err != nil || n <= 0 || n > frameBytes || text > frameBytes-n {
		return nil
	}
	if text+n > s.frame.room() || m != nil && s.frame.messages() == frameMessages {
		if s.flush() != nil {
			return nil
		}
	}
	if m != nil {
		s.text = text
	}
	return s.frame.tail(text, n)
}

// Message implements backend.FetchSink.
func (s *fetchSender) Message(m *backend.FetchedMessage) error {
	if s.err != nil {
		return s.err
	}
	if err := s.bodyComplete(); err != nil {
		return s.fail(err)
	}
	size := textSize(m)
	if s.text >= 0 && s.text != size && m.Err == nil {
		return s.fail(&backend.Error{Kind: backend.KindInternal, Detail: fmt.Sprintf("UID %d: not the message that there was room for", m.UID)})
	}
	s.text = -1
	if size > maxFrameItem {
		m = &backend.FetchedMessage{UID: m.UID, Err: backend.Errorf(backend.KindLimit,
			"header fields, body structure and preview of %d bytes are more than the %d that one answer can hold", size, maxFrameItem)}
		size = 0
	}
	if size > s.frame.room() || s.frame.messages() == frameMessages {
		if err := s.flush(); err != nil {
			return err
		}
	}
	s.frame.add(m)
	s.uid, s.left = m.UID, 0
	if m.Err == nil {
		s.left = m.BodySize
	}
	return nil
}

// Body implements backend.FetchSink.
func (s *fetchSender) Body(p []byte) error {
	if s.err != nil {
		return s.err
	}
	if uint64(len(p)) > s.left {
		return s.fail(&backend.Error{Kind: backend.KindInternal, Detail: fmt.Sprintf("UID %d: more body than BodySize announced", s.uid)})
	}
	s.left -= uint64(len(p))
	for len(p) > 0 {
		if s.frame.room() <= 0 {
			if err := s.flush(); err != nil {
				return err
			}
		}
		n := min(len(p), s.frame.room())
		s.frame.addBody(p[:n])
		p = p[n:]
	}
	return nil
}

// bodyComplete checks that the body of the last message was sent as announced.
func (s *fetchSender) bodyComplete() error {
	if s.left == 0 {
		return nil
	}
	return &backend.Error{Kind: backend.KindInternal, Detail: fmt.Sprintf("UID %d: body ends %d bytes before its BodySize", s.uid, s.left)}
}

func (s *fetchSender) finish() error {
	if err := s.bodyComplete(); err != nil {
		return err
	}
	s.frame.last = s.many
	return s.flush()
}

func (s *fetchSender) flush() error {
	if s.frame.empty() && !s.frame.last {
		return nil
	}
	err := s.stream.SendMsg(&s.frame)
	s.frame.reset()
	return s.fail(err)
}

// fail keeps the first error.
func (s *fetchSender) fail(err error) error {
	if s.err == nil {
		s.err = err
	}
	return s.err
}

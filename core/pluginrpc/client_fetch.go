package pluginrpc

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// Fetch implements backend.Storage. Long lists of UIDs take several calls.
// When it fails, the messages sent before stay sent, and the last one may lack
// a part of its body: the caller goes on from there.
func (s *Storage) Fetch(ctx context.Context, r *backend.FetchRequest, sink backend.FetchSink) error {
	for _, name := range r.HeaderFields {
		if err := checkUTF8("header field name", name); err != nil {
			return err
		}
	}
	for uids := r.UIDs; len(uids) > 0; {
		n := min(len(uids), maxFetchUIDs)
		req := &storagev1.FetchRequest{
			MailboxId:    optionalID(r.MailboxID),
			Uids:         appendUint32s(make([]byte, 0, 4*n), uids[:n]),
			Items:        uint32(r.Items),
			HeaderFields: r.HeaderFields,
			Offset:       r.Offset,
			Length:       r.Length,
		}
		if err := s.refs.address(req, r.Mailbox); err != nil {
			return err
		}
		if err := s.fetch(ctx, req, &fetchReceiver{sink: sink, wanted: uids[:n]}); err != nil {
			return err
		}
		uids = uids[n:]
	}
	return nil
}

// optionalID returns a GUID for the wire, on which an absent one is empty.
func optionalID(id [16]byte) []byte {
	if id == [16]byte{} {
		return nil
	}
	return id[:]
}

func (s *Storage) fetch(ctx context.Context, req *storagev1.FetchRequest, recv *fetchReceiver) error {
	if s.lanes {
		return s.fetchAlone(ctx, req, recv) // a kept stream would keep a lane, and a call over a lane needs none
	}
	for {
		f, err := s.fetches.get(s.storage)
		if err != nil {
			return s.err(ctx, err)
		}
		if f == nil {
			return s.fetchAlone(ctx, req, recv)
		}
		kept := f.kept
		err = s.fetchOn(ctx, f, req, recv)
		switch {
		case unknownMethod(err):
			s.fetches.never.Store(true)
		case err == io.EOF && kept && !recv.begun: // the plugin has ended the stream while it had nothing to do
		case err == io.EOF:
			return s.lie("FetchMany", errors.New("the stream ends before the answer"))
		default:
			return s.fetchError(ctx, err)
		}
	}
}

// unknownMethod reports whether the server does not have the method. A plugin's own errors have details.
func unknownMethod(err error) bool {
	st, _ := status.FromError(err)
	return st.Code() == codes.Unimplemented && len(st.Details()) == 0
}

// fetchAlone is fetch for a plugin without FetchMany.
func (s *Storage) fetchAlone(ctx context.Context, req *storagev1.FetchRequest, recv *fetchReceiver) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.storage.Fetch(ctx, req)
	if err != nil {
		return s.err(ctx, err)
	}
	var frame inFrame
	defer frame.reset()
	return s.fetchError(ctx, recv.all(stream, &frame, false))
}

// fetchOn makes a request on a kept stream, and keeps it for the next if all went well.
func (s *Storage) fetchOn(ctx context.Context, f *fetchStream, req *storagev1.FetchRequest, recv *fetchReceiver) error {
	stop := context.AfterFunc(ctx, f.cancel)
	req.Request = backend.OriginOf(ctx).Request
	err := f.stream.Send(req)
	if err == nil || err == io.EOF { // EOF: Recv tells why
		err = recv.all(f.stream, &f.frame, true)
	}
	f.frame.reset()
	if stop() && err == nil {
		s.fetches.put(f)
	} else {
		f.cancel()
	}
	return err
}

// fetchError makes the error of Fetch.
func (s *Storage) fetchError(ctx context.Context, err error) error {
	var rule brokenRule
	var sink sinkError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &rule):
		return s.lie("Fetch", rule.error)
	case errors.As(err, &sink):
		return sink.error
	}
	return s.err(ctx, err)
}

// brokenRule is a plugin's fault, and sinkError that of the caller. All other errors are the stream's.
type (
	brokenRule struct{ error }
	sinkError  struct{ error }
)

func ruleBroken(format string, args ...any) error { return brokenRule{fmt.Errorf(format, args...)} }

// fetchReceiver gives frames to a sink, message by message.
type fetchReceiver struct {
	sink   backend.FetchSink
	copied []byte   // the last piece that was copied for sink
	wanted []uint32 // UIDs that may still come
	m      backend.FetchedMessage
	left   uint64 // bytes of m's body that are still to come
	begun  bool   // there was a response
}

// all delivers the responses to one request. many: it ends with the one that has last set, not with the stream.
func (r *fetchReceiver) all(stream grpc.ClientStream, frame *inFrame, many bool) error {
	for {
		err := stream.RecvMsg(frame)
		if err == io.EOF && !many {
			return r.end()
		}
		if err != nil {
			return err
		}
		r.begun = true
		if err := frame.check(); err != nil {
			return brokenRule{err}
		}
		if frame.empty() {
			return ruleBroken("response without content")
		}
		if err := r.frame(frame); err != nil {
			return err
		}
		if many && frame.last {
			return r.end()
		}
	}
}

// frame delivers one response. Its error is a sinkError or a brokenRule.
func (r *fetchReceiver) frame(f *inFrame) error {
	if err := r.pieces(&f.body, f.body.left); err != nil {
		return err
	}
	for i := range len(f.uids) / 4 {
		if r.left > 0 {
			return ruleBroken("UID %d: the next message comes %d bytes before the body's end", r.m.UID, r.left)
		}
		if err := f.message(i, &r.m); err != nil {
			return brokenRule{err}
		}
		bodyPart := f.length(i, lenBody)
		if err := r.accept(bodyPart > 0); err != nil {
			return err
		}
		if err := r.sink.Message(&r.m); err != nil {
			return sinkError{err}
		}
		if err := r.pieces(&f.data, bodyPart); err != nil {
			return err
		}
	}
	return nil
}

// accept checks the message that has begun.
func (r *fetchReceiver) accept(hasBody bool) error {
	uid := r.m.UID
	for len(r.wanted) > 0 && r.wanted[0] < uid {
		r.wanted = r.wanted[1:]
	}
	if len(r.wanted) == 0 || r.wanted[0] != uid {
		return ruleBroken("UID %d was not asked for, or comes out of order", uid)
	}
	r.wanted = r.wanted[1:]
	if r.m.Err != nil && (hasBody || r.m.BodySize != 0 || len(r.m.GUID)+len(r.m.HeaderFields)+len(r.m.BodyStructure) != 0 || r.m.Preview != nil) {
		return ruleBroken("UID %d: data beside an error", uid)
	}
	if r.m.BodySize > maxBody || r.m.Size > maxBody {
		return ruleBroken("UID %d: a size of more than %d bytes", uid, uint64(maxBody))
	}
	r.left = r.m.BodySize
	return nil
}

// pieces delivers the next n bytes of s as body.
func (r *fetchReceiver) pieces(s *span, n int) error {
	if uint64(n) > r.left {
		return ruleBroken("UID %d: more body than body_sizes announced", r.m.UID)
	}
	r.left -= uint64(n)
	for n > 0 {
		p := s.chunk(n)
		if p == nil {
			return ruleBroken("truncated data")
		}
		n -= len(p)
		if err := r.piece(p, s.volatile()); err != nil {
			return sinkError{err}
		}
	}
	return nil
}

// copyBytes is how much of a body is copied at once for a sink that does not take it as it is.
const copyBytes = 32 << 10

// piece delivers a piece of a body.
func (r *fetchReceiver) piece(p []byte, volatile bool) error {
	if !volatile {
		return r.sink.Body(p)
	}
	if sink, ok := r.sink.(backend.VolatileSink); ok {
		return sink.VolatileBody(p)
	}
	for len(p) > 0 {
		n := min(len(p), copyBytes)
		r.copied = append(r.copied[:0], p[:n]...)
		p = p[n:]
		if err := r.sink.Body(r.copied); err != nil {
			return err
		}
	}
	return nil
}

func (r *fetchReceiver) end() error {
	if r.left > 0 {
		return ruleBroken("UID %d: the answer ends %d bytes before the body's end", r.m.UID, r.left)
	}
	return nil
}

var _ interface {
	backend.Storage
	backend.Watcher
	backend.Writer
} = (*Storage)(nil)

var _ interface {
	backend.Auth
	backend.UserLookup
} = (*Auth)(nil)

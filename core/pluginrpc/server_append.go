package pluginrpc

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

func (s *storageServer) Append(stream grpc.ClientStreamingServer[storagev1.AppendRequest, storagev1.AppendResponse]) error {
	w, err := s.writer()
	if err != nil {
		return err
	}
	in := &appendReceiver{stream: stream}
	defer in.frame.reset()
	req, id, err := in.request()
	if err != nil {
		return err
	}
	res, err := w.Append(withRequestID(stream.Context(), id), req)
	switch {
	case in.err != nil:
		return in.err
	case err != nil:
		return err
	case in.unread():
		return errors.New("the plugin has not read all bodies")
	}
	resp := &storagev1.AppendResponse{UidValidity: res.UIDValidity, Uids: appendUint32s(nil, res.UIDs)}
	if len(req.Since) > 0 {
		if resp.Changes, err = appendedChanges(res.Changed); err != nil {
			return err
		}
	}
	if res.ClaimedFirst < res.ClaimedNext {
		resp.Claimed = &storagev1.ClaimRecentHeader{First: res.ClaimedFirst, Next: res.ClaimedNext}
	}
	return stream.SendAndClose(resp)
}

// appendedChanges returns the changes for an answer, which is one message: none if there are too many, which core asks Changes for then.
func appendedChanges(c *backend.Changes) (parts []*storagev1.ChangesResponse, err error) {
	if c == nil || c.Reset != nil || len(c.Expunged)+len(c.Updated.UIDs)+len(c.Appended.UIDs) > maxAppendChanges {
		return nil, nil
	}
	err = sendChanges(c, false, func(p *storagev1.ChangesResponse) error {
		parts = append(parts, p)
		return nil
	})
	return parts, err
}

// appendReceiver reads the requests of an Append. The plugin gets the last byte of the bodies only after the stream has
// ended in good order: an Append that was given up never looks complete to it.
type appendReceiver struct {
	stream grpc.ServerStream
	frame  inAppend // the request that is being read
	total  uint64   // bytes of bodies that have not come yet
	bodies []appendBody
	next   int   // the first body that was not read to its end
	err    error // the first failure of the stream; there is nothing to read after it
}

// request reads the requests before the bodies.
func (a *appendReceiver) request() (req *backend.AppendRequest, id []byte, err error) {
	if err := a.recv(); err != nil {
		return nil, nil, err
	}
	h := a.frame.rest.Header
	if h == nil || h.MessageCount == 0 {
		return nil, nil, backend.Errorf(backend.KindInvalidArgument, "no header, or no message")
	}
	if h.MessageCount > maxAppendMessages {
		return nil, nil, backend.Errorf(backend.KindLimit, "more than %d messages at once", maxAppendMessages)
	}
	id = h.RequestId
	req = &backend.AppendRequest{Mailbox: mailboxFromProto(h.Mailbox), Messages: make([]backend.AppendMessage, 0, h.MessageCount),
		Since: h.Since, Claim: h.ClaimRecent && len(h.Since) > 0}
	if h.ReplacesUid != 0 {
		if h.MessageCount != 1 {
			return nil, nil, backend.Errorf(backend.KindInvalidArgument, "%d messages for one", h.MessageCount)
		}
		req.Replaces = &backend.ReplacedMessage{UID: h.ReplacesUid}
		if req.Replaces.MailboxID, err = optionalIDFromProto("replaces_mailbox_id", h.ReplacesMailboxId); err != nil {
			return nil, nil, err
		}
	}
	a.bodies = make([]appendBody, h.MessageCount)
	for {
		for _, m := range a.frame.rest.Messages {
			if len(req.Messages) == len(a.bodies) {
				return nil, nil, backend.Errorf(backend.KindInvalidArgument, "more than %d messages", len(a.bodies))
			}
			if err := a.add(req, m); err != nil {
				return nil, nil, err
			}
		}
		if len(req.Messages) == len(a.bodies) {
			break
		}
		if err := a.recv(); err != nil {
			return nil, nil, err
		}
		if len(a.frame.rest.Messages) == 0 {
			return nil, nil, backend.Errorf(backend.KindInvalidArgument, "a body before message %d", len(req.Messages)+1)
		}
	}
	if a.total == 0 {
		err = a.end()
	}
	return req, id, err
}

// add appends a message to req.
func (a *appendReceiver) add(req *backend.AppendRequest, m *storagev1.AppendMessage) error {
	flags, err := flagsFromProto(m.GetFlags())
	if err != nil {
		return err
	}
	if m.GetSize() > 1<<62-a.total {
		return backend.Errorf(backend.KindLimit, "messages of more than %d bytes", uint64(1<<62))
	}
	a.total += m.GetSize()
	i := len(req.Messages)
	a.bodies[i] = appendBody{a: a, i: i, left: m.GetSize()}
	req.Messages = append(req.Messages, backend.AppendMessage{
		Flags: flags, Keywords: m.GetKeywords(), InternalDate: m.GetInternalDate(), Size: m.GetSize(), Body: &a.bodies[i]})
	return nil
}

// recv reads the next request. The end of the stream is an error, which stays.
func (a *appendReceiver) recv() error {
	err := a.stream.RecvMsg(&a.frame)
	if err == io.EOF {
		err = backend.Errorf(backend.KindInvalidArgument, "the request ends %d bytes before that of the bodies", a.total)
	}
	return a.fail(err)
}

// fail keeps the first error. That of a cancelled call is the context's.
func (a *appendReceiver) fail(err error) error {
	if err != nil && a.stream.Context().Err() != nil {
		err = &backend.Error{Kind: backend.KindCancelled, Cause: context.Cause(a.stream.Context())}
	}
	if a.err == nil {
		a.err = err
	}
	return a.err
}

// end expects the end of the stream.
func (a *appendReceiver) end() error {
	var more inAppend
	err := a.stream.RecvMsg(&more)
	if err == nil {
		more.reset()
		err = backend.Errorf(backend.KindInvalidArgument, "the request goes on after the bodies")
	}
	if err == io.EOF {
		return nil
	}
	return a.fail(err)
}

// piece makes sure that frame has bytes of a body.
func (a *appendReceiver) piece() error {
	for a.err == nil && a.frame.body.left == 0 {
		if a.recv() != nil {
			break
		}
		n := uint64(a.frame.body.left)
		if n == 0 || n > a.total {
			a.err = backend.Errorf(backend.KindInvalidArgument, "a request with %d bytes of bodies, of which %d are to come", n, a.total)
			break
		}
		if a.total -= n; a.total == 0 {
			_ = a.end() // sets err
		}
	}
	return a.err
}

// unread reports whether there is a body that was not read to its end.
func (a *appendReceiver) unread() bool {
	a.skipRead()
	return a.next < len(a.bodies)
}

// skipRead moves next over what was read.
func (a *appendReceiver) skipRead() {
	for a.next < len(a.bodies) && a.bodies[a.next].left == 0 {
		a.next++
	}
}

// appendBody is the body of message i.
type appendBody struct {
	a    *appendReceiver
	i    int
	left uint64
}

// Read implements io.Reader. It returns io.EOF after exactly the announced size.
func (b *appendBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if b.a.skipRead(); b.a.next != b.i {
		return 0, backend.Errorf(backend.KindInternal, "body %d is read before the end of body %d", b.i+1, b.a.next+1)
	}
	if err := b.a.piece(); err != nil {
		return 0, err
	}
	n := b.a.frame.read(p[:min(uint64(len(p)), b.left)])
	b.left -= uint64(n)
	return n, nil
}

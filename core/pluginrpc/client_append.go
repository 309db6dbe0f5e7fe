package pluginrpc

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// Append implements backend.Writer. Bodies are read by the caller's goroutine, one piece ahead of what was sent. An error
// of one ends the call in good order, and is returned after the plugin has said that it kept nothing.
func (s *Storage) Append(ctx context.Context, r *backend.AppendRequest) (*backend.AppendResult, error) {
	reqs, err := s.appendToProto(ctx, r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.storage.Append(ctx)
	if err != nil {
		return nil, unsent(s.err(ctx, err))
	}
	sendErr := sendAppend(stream, reqs, r.Messages)
	var body bodyError
	if sendErr != nil && sendErr != io.EOF && !errors.As(sendErr, &body) {
		return nil, once(s.err(ctx, sendErr))
	}
	resp, err := stream.CloseAndRecv()
	switch {
	case err == nil && sendErr != nil:
		return nil, s.lie("Append", errEarly)
	case body.error != nil:
		return nil, body.error
	case err != nil:
		return nil, once(s.err(ctx, err))
	}
	res, err := appendResult(resp, r)
	if err != nil {
		return nil, s.lie("Append", err)
	}
	if res.Changed, err = s.appendChanges(resp.Changes, r.Since); err != nil {
		return nil, err
	}
	return res, nil
}

// appendChanges puts the changes of an answer together; nil if there are none.
func (s *Storage) appendChanges(parts []*storagev1.ChangesResponse, since []byte) (*backend.Changes, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	if len(since) == 0 {
		return nil, s.lie("Append", errors.New("changes that were not asked for"))
	}
	h := parts[0].GetHeader()
	if h == nil || uint64(h.ExpungedCount)+uint64(h.UpdatedCount)+uint64(h.AppendedCount) > maxAppendChanges {
		return nil, s.lie("Append", fmt.Errorf("changes without header, or of more than %d messages", maxAppendChanges))
	}
	changes, err := s.newChangesJoiner("Append", parts[0])
	for _, p := range parts[1:] {
		if err == nil {
			err = changes.add(p)
		}
	}
	if err != nil {
		return nil, err
	}
	return changes.done()
}

// once makes an error of a call whose bodies were read say no more that it can be made again: a lane sends a request when it is complete,
// and may find only then that the plugin is gone.
func once(err error) error {
	var e *backend.Error
	if errors.As(err, &e) && e.Cause == ErrUnsent {
		return &backend.Error{Kind: e.Kind, Message: e.Message, Detail: e.Detail, Cause: ErrGone}
	}
	return err
}

// appendToProto returns the requests that come before the bodies.
func (s *Storage) appendToProto(ctx context.Context, r *backend.AppendRequest) ([]*storagev1.AppendRequest, error) {
	if err := s.writable(); err != nil {
		return nil, err
	}
	ref, err := mailboxToProto(r.Mailbox)
	switch {
	case err != nil:
		return nil, err
	case len(r.Messages) == 0:
		return nil, backend.Errorf(backend.KindInvalidArgument, "no message")
	case len(r.Messages) > maxAppendMessages:
		return nil, backend.Errorf(backend.KindLimit, "more than %d messages at once", maxAppendMessages)
	}
	req := &storagev1.AppendRequest{Header: &storagev1.AppendHeader{Mailbox: ref, RequestId: requestID(ctx), MessageCount: uint32(len(r.Messages))}}
	if r.Replaces != nil {
		if len(r.Messages) != 1 || r.Replaces.UID == 0 || !s.info.Has(backend.CapReplace) {
			return nil, backend.Errorf(backend.KindUnsupported, "the mail storage can not replace messages")
		}
		req.Header.ReplacesUid, req.Header.ReplacesMailboxId = r.Replaces.UID, optionalID(r.Replaces.MailboxID)
	}
	if len(r.Since) > 0 {
		req.Header.Since, req.Header.ClaimRecent = r.Since, r.Claim
	}
	reqs := []*storagev1.AppendRequest{req}
	bytes := 0
	for i := range r.Messages {
		m := &r.Messages[i]
		if err := checkKeywords(m.Keywords); err != nil {
			return nil, err
		}
		p := &storagev1.AppendMessage{Flags: uint32(m.Flags), Keywords: m.Keywords, InternalDate: m.InternalDate, Size: m.Size}
		if bytes += proto.Size(p) + 8; bytes > appendBytes && len(req.Messages) > 0 {
			req, bytes = new(storagev1.AppendRequest), 0
			reqs = append(reqs, req)
		}
		req.Messages = append(req.Messages, p)
	}
	return reqs, nil
}

// bodyError is an error of a message's body: the caller's own.
type bodyError struct{ error }

// sendAppend sends everything but the end of the stream. Its error is a bodyError, io.EOF if the
// plugin has given up the call, or that of the stream.
func sendAppend(stream grpc.ClientStream, reqs []*storagev1.AppendRequest, messages []backend.AppendMessage) error {
	for _, req := range reqs {
		if err := stream.SendMsg(req); err != nil {
			return err
		}
	}
	var out outBody
	if g, ok := stream.(*grpc.GenericClientStream[storagev1.AppendRequest, storagev1.AppendResponse]); ok {
		out.slots, _ = g.ClientStream.(slotter)
	}
	defer out.reset()
	for i := range messages {
		if err := sendBody(stream, &out, i, &messages[i]); err != nil {
			return err
		}
	}
	if out.empty() {
		return nil
	}
	return stream.SendMsg(&out)
}

// sendBody sends a body but for what out keeps for the next piece.
func sendBody(stream grpc.ClientStream, out *outBody, i int, m *backend.AppendMessage) error {
	for left := m.Size; left > 0; {
		room := out.room()
		n, err := m.Body.Read(room[:min(uint64(len(room)), left)])
		left -= uint64(n)
		if out.filled(n) {
			if err := stream.SendMsg(out); err != nil {
				return err
			}
		}
		if err == io.EOF && left > 0 {
			err = backend.Errorf(backend.KindInvalidArgument, "message %d ends %d bytes before its size", i+1, left)
		}
		if err != nil && err != io.EOF {
			return bodyError{err}
		}
	}
	return nil
}

// appendResult checks an answer to r, but for the changes. The error is the broken rule.
func appendResult(resp *storagev1.AppendResponse, r *backend.AppendRequest) (*backend.AppendResult, error) {
	messages := len(r.Messages)
	if resp.UidValidity == 0 {
		return nil, errors.New("uid_validity is 0")
	}
	if len(resp.Uids) != 4*messages {
		return nil, fmt.Errorf("column uids of %d bytes for %d messages", len(resp.Uids), messages)
	}
	uids := &uidsJoiner{name: "uids", want: messages}
	if err := uids.add(resp.Uids); err != nil {
		return nil, err
	}
	res := &backend.AppendResult{UIDValidity: resp.UidValidity, UIDs: uids.out}
	if c := resp.Claimed; c != nil {
		switch {
		case !r.Claim || len(r.Since) == 0:
			return nil, errors.New("a claim that was not asked for")
		case c.First == 0 || c.First > c.Next:
			return nil, fmt.Errorf("a claim of the UIDs from %d to before %d", c.First, c.Next)
		}
		res.ClaimedFirst, res.ClaimedNext = c.First, c.Next
	}
	return res, nil
}

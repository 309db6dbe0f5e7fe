package pluginrpc

import (
	"context"
	"errors"
	"fmt"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// Copy implements backend.Writer.
func (s *Storage) Copy(ctx context.Context, r *backend.CopyRequest) (*backend.CopyResult, error) {
	req, err := s.copyToProto(ctx, r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.storage.Copy(ctx)
	if err != nil {
		return nil, unsent(s.err(ctx, err))
	}
	sendErr := sendUIDs(stream, r.UIDs, func(column []byte) *storagev1.CopyRequest {
		next := req
		next.Uids, req = column, new(storagev1.CopyRequest)
		return next
	})
	var j copyJoiner
	changed, err := receive(ctx, s, stream, sendErr, answer[*storagev1.CopyResponse]{
		call: "Copy", since: r.Since,
		header:  func(resp *storagev1.CopyResponse) error { return j.header(resp.Header, r.UIDs) },
		columns: j.add,
		done:    func() error { return j.source.done() }, // there are as many uids
	})
	if err != nil {
		return nil, err
	}
	return &backend.CopyResult{UIDValidity: j.uidValidity, Source: j.source.out, UIDs: j.uids.out, Changed: changed}, nil
}

func (s *Storage) copyToProto(ctx context.Context, r *backend.CopyRequest) (*storagev1.CopyRequest, error) {
	if err := s.writable(); err != nil {
		return nil, err
	}
	if err := checkUTF8("mailbox name", r.Destination.Name); err != nil {
		return nil, err
	}
	if d := r.Destination.User; d != nil && (r.Mailbox.User == nil || d.Name != r.Mailbox.User.Name) {
		return nil, backend.Errorf(backend.KindInvalidArgument, "the destination is another user's")
	}
	req := &storagev1.CopyRequest{
		MailboxId:            optionalID(r.MailboxID),
		RequestId:            requestID(ctx),
		DestinationNamespace: r.Destination.Namespace,
		Destination:          r.Destination.Name,
		Move:                 r.Move,
		Since:                r.Since,
	}
	return req, s.refs.address(req, r.Mailbox)
}

// copyJoiner puts the answer to Copy together. Errors are the broken rules.
type copyJoiner struct {
	uidValidity  uint32
	source, uids *uidsJoiner
}

func (j *copyJoiner) header(h *storagev1.CopyHeader, asked []uint32) (err error) {
	if h == nil {
		return errNoHeader
	}
	if h.CopiedCount > 0 && h.UidValidity == 0 {
		return errors.New("uid_validity is 0")
	}
	j.uidValidity = h.UidValidity
	j.source, err = newUIDsJoiner("source", h.CopiedCount, asked)
	j.uids = &uidsJoiner{name: "uids", want: int(h.CopiedCount)}
	return err
}

func (j *copyJoiner) add(resp *storagev1.CopyResponse) error {
	if len(resp.Source) != len(resp.Uids) {
		return fmt.Errorf("column source has %d bytes, uids %d", len(resp.Source), len(resp.Uids))
	}
	if err := j.source.add(resp.Source); err != nil {
		return err
	}
	return j.uids.add(resp.Uids)
}

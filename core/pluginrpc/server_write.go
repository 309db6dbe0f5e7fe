package pluginrpc

import (
	"context"
	"fmt"
	"io"

	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// writer returns the plugin as backend.Writer.
func (s *storageServer) writer() (backend.Writer, error) {
	w, ok := s.storage.(backend.Writer)
	if !ok || !s.s.plugin.Info().Has(backend.CapWrite) {
		return nil, backend.Errorf(backend.KindUnsupported, "the mail storage can not be written")
	}
	return w, nil
}

// withRequestID hands a request id to the plugin. One of another length than 16 is none.
func withRequestID(ctx context.Context, b []byte) context.Context {
	var id [16]byte
	if copy(id[:], b) != len(b) || len(b) != len(id) {
		return ctx
	}
	return backend.WithRequestID(ctx, id)
}

// uidRequest is a request of Store, Copy or Expunge.
type uidRequest interface {
	GetMailboxId() []byte
	GetUids() []byte
}

// receiveUIDs reads a request to the end of its stream: its first part, and what all parts have.
func receiveUIDs[R uidRequest](recv func() (R, error)) (first R, id [16]byte, uids []uint32, err error) {
	first, err = recv()
	if err == io.EOF {
		err = backend.Errorf(backend.KindInvalidArgument, "no request")
	}
	if err == nil {
		id, err = optionalIDFromProto("mailbox_id", first.GetMailboxId())
	}
	for r := first; err == nil; r, err = recv() {
		if len(r.GetUids())%4 != 0 {
			return first, id, nil, backend.Errorf(backend.KindInvalidArgument, "column uids has %d bytes", len(r.GetUids()))
		}
		uids = decodeUint32s(uids, r.GetUids())
	}
	if err == io.EOF {
		err = nil
	}
	return first, id, uids, err
}

// flagsFromProto refuses what are no system flags.
func flagsFromProto(flags uint32) (uint8, error) {
	if flags&^uint32(knownFlags) != 0 {
		return 0, backend.Errorf(backend.KindInvalidArgument, "unknown system flag bits 0x%02x", flags&^uint32(knownFlags))
	}
	return uint8(flags), nil
}

// sendColumn sends UIDs over as many responses as needed.
func sendColumn(uids []uint32, send func(column []byte) error) error {
	for len(uids) > 0 {
		n := min(len(uids), columnBytes/4)
		if err := send(appendUint32s(make([]byte, 0, 4*n), uids[:n])); err != nil {
			return err
		}
		uids = uids[n:]
	}
	return nil
}

func (s *storageServer) Store(stream grpc.BidiStreamingServer[storagev1.StoreRequest, storagev1.StoreResponse]) error {
	w, err := s.writer()
	if err != nil {
		return err
	}
	r, id, uids, err := receiveUIDs(stream.Recv)
	if err != nil {
		return err
	}
	req := &backend.StoreRequest{
		Mailbox:        s.s.refs.ref(r.Mailbox),
		MailboxID:      id,
		UIDs:           uids,
		Mode:           backend.StoreMode(r.Mode),
		Keywords:       r.Keywords,
		UnchangedSince: backend.AnyModSeq,
		Since:          r.Since,
	}
	if r.UnchangedSince != nil {
		req.UnchangedSince = *r.UnchangedSince
	}
	if _, ok := storagev1.StoreMode_name[int32(r.Mode)]; !ok {
		return backend.Errorf(backend.KindInvalidArgument, "unknown mode %d", r.Mode)
	}
	if req.Flags, err = flagsFromProto(r.Flags); err != nil {
		return err
	}
	res, err := w.Store(withRequestID(stream.Context(), r.RequestId), req)
	if err != nil {
		return err
	}
	err = stream.Send(&storagev1.StoreResponse{Header: &storagev1.StoreHeader{ModifiedCount: uint32(len(res.Modified))}})
	if err == nil {
		err = sendColumn(res.Modified, func(column []byte) error { return stream.Send(&storagev1.StoreResponse{Modified: column}) })
	}
	if err != nil || res.Changed == nil {
		return err
	}
	return sendChanges(res.Changed, r.Compact, func(c *storagev1.ChangesResponse) error { return stream.Send(&storagev1.StoreResponse{Changes: c}) })
}

func (s *storageServer) Copy(stream grpc.BidiStreamingServer[storagev1.CopyRequest, storagev1.CopyResponse]) error {
	w, err := s.writer()
	if err != nil {
		return err
	}
	r, id, uids, err := receiveUIDs(stream.Recv)
	if err != nil {
		return err
	}
	source := s.s.refs.ref(r.Mailbox)
	res, err := w.Copy(withRequestID(stream.Context(), r.RequestId), &backend.CopyRequest{
		Mailbox:     source,
		MailboxID:   id,
		UIDs:        uids,
		Destination: backend.MailboxRef{User: source.User, Namespace: r.DestinationNamespace, Name: r.Destination},
		Move:        r.Move,
		Since:       r.Since,
	})
	if err != nil {
		return err
	}
	if len(res.Source) != len(res.UIDs) {
		return fmt.Errorf("%d new UIDs for %d copied messages", len(res.UIDs), len(res.Source))
	}
	err = stream.Send(&storagev1.CopyResponse{Header: &storagev1.CopyHeader{UidValidity: res.UIDValidity, CopiedCount: uint32(len(res.UIDs))}})
	if err == nil {
		copies := res.UIDs
		err = sendColumn(res.Source, func(column []byte) error {
			n := len(column) / 4
			uids := appendUint32s(make([]byte, 0, len(column)), copies[:n])
			copies = copies[n:]
			return stream.Send(&storagev1.CopyResponse{Source: column, Uids: uids})
		})
	}
	if err != nil || res.Changed == nil {
		return err
	}
	return sendChanges(res.Changed, false, func(c *storagev1.ChangesResponse) error { return stream.Send(&storagev1.CopyResponse{Changes: c}) })
}

func (s *storageServer) Expunge(stream grpc.BidiStreamingServer[storagev1.ExpungeRequest, storagev1.ExpungeResponse]) error {
	w, err := s.writer()
	if err != nil {
		return err
	}
	r, id, uids, err := receiveUIDs(stream.Recv)
	if err != nil {
		return err
	}
	res, err := w.Expunge(withRequestID(stream.Context(), r.RequestId), &backend.ExpungeRequest{
		Mailbox:     s.s.refs.ref(r.Mailbox),
		MailboxID:   id,
		UIDs:        uids,
		OnlyDeleted: r.OnlyDeleted,
		Since:       r.Since,
	})
	if err != nil {
		return err
	}
	err = stream.Send(&storagev1.ExpungeResponse{Header: &storagev1.ExpungeHeader{ExpungedCount: uint32(len(res.Expunged))}})
	if err == nil {
		err = sendColumn(res.Expunged, func(column []byte) error { return stream.Send(&storagev1.ExpungeResponse{Expunged: column}) })
	}
	if err != nil || res.Changed == nil {
		return err
	}
	return sendChanges(res.Changed, false, func(c *storagev1.ChangesResponse) error { return stream.Send(&storagev1.ExpungeResponse{Changes: c}) })
}

func (s *storageServer) ClaimRecent(r *storagev1.ClaimRecentRequest, stream grpc.ServerStreamingServer[storagev1.ClaimRecentResponse]) error {
	w, err := s.writer()
	if err != nil {
		return err
	}
	id, err := optionalIDFromProto("mailbox_id", r.MailboxId)
	if err != nil {
		return err
	}
	res, err := w.ClaimRecent(withRequestID(stream.Context(), r.RequestId), s.s.refs.ref(r.Mailbox), id, r.Since)
	if err != nil {
		return err
	}
	err = stream.Send(&storagev1.ClaimRecentResponse{Header: &storagev1.ClaimRecentHeader{First: res.First, Next: res.Next}})
	if err != nil || res.Changed == nil {
		return err
	}
	return sendChanges(res.Changed, false, func(c *storagev1.ChangesResponse) error {
		return stream.Send(&storagev1.ClaimRecentResponse{Changes: c})
	})
}

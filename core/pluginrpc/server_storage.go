package pluginrpc

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// storageServer serves roost.storage.v1.Storage.
type storageServer struct {
	storagev1.UnimplementedStorageServer
	s       *Server
	storage backend.Storage
}

func mailboxFromProto(p *storagev1.MailboxRef) backend.MailboxRef {
	return backend.MailboxRef{User: userFromProto(p.GetUser()), Namespace: p.GetNamespace(), Name: p.GetName()}
}

func (s *storageServer) ListMailboxes(r *storagev1.ListMailboxesRequest, stream grpc.ServerStreamingServer[storagev1.ListMailboxesResponse]) error {
	list, err := s.storage.ListMailboxes(stream.Context(), userFromProto(r.User), r.Namespace)
	if err != nil {
		return err
	}
	return sendMailboxes(list, r.Columns, stream.Send)
}

func (s *storageServer) Status(ctx context.Context, r *storagev1.StatusRequest) (*storagev1.StatusResponse, error) {
	list, err := s.storage.Status(ctx, userFromProto(r.User), r.Namespace, r.Names, backend.StatusItems(r.Items))
	if err != nil {
		return nil, err
	}
	resp := &storagev1.StatusResponse{Mailboxes: make([]*storagev1.MailboxStatus, len(list))}
	for i := range list {
		m := &list[i]
		if m.Err != nil {
			resp.Mailboxes[i] = &storagev1.MailboxStatus{Error: errorToProto(m.Err)}
			continue
		}
		resp.Mailboxes[i] = &storagev1.MailboxStatus{
			Messages:      m.Messages,
			Recent:        m.Recent,
			Unseen:        m.Unseen,
			UidNext:       uint32(m.UIDNext),
			UidValidity:   m.UIDValidity,
			HighestModSeq: m.HighestModSeq,
			Size:          m.Size,
			MailboxId:     m.MailboxID[:],
			Deleted:       m.Deleted,
			DeletedSize:   m.DeletedSize,
		}
		for _, w := range m.Watches {
			resp.Mailboxes[i].Watches = append(resp.Mailboxes[i].Watches, &storagev1.Watch{Id: w.ID, Name: utf8Text(w.Name)})
		}
	}
	return resp, nil
}

func (s *storageServer) Open(r *storagev1.OpenRequest, stream grpc.ServerStreamingServer[storagev1.OpenResponse]) error {
	snap, err := s.storage.Open(stream.Context(), s.s.refs.ref(r.Mailbox))
	if err != nil {
		return err
	}
	cols, err := newColumnsSplitter(&snap.Messages, r.Compact)
	if err != nil {
		return err
	}
	if err := stream.Send(&storagev1.OpenResponse{Header: snapshotToProto(snap)}); err != nil {
		return err
	}
	for c := cols.split(); c != nil; c = cols.split() {
		if err := stream.Send(&storagev1.OpenResponse{Messages: c}); err != nil {
			return err
		}
	}
	return nil
}

func snapshotToProto(s *backend.Snapshot) *storagev1.SnapshotHeader {
	h := &storagev1.SnapshotHeader{
		MailboxId:      s.MailboxID[:],
		UidValidity:    s.UIDValidity,
		UidNext:        uint32(s.UIDNext),
		FirstRecentUid: uint32(s.FirstRecentUID),
		HighestModSeq:  s.HighestModSeq,
		Keywords:       utf8Texts(s.Keywords),
		MessageCount:   uint32(len(s.Messages.UIDs)),
		Position:       s.Position,
		Watch:          s.Watch,
		WatchName:      utf8Text(s.WatchName),
	}
	for _, w := range s.MoreWatches {
		h.MoreWatches = append(h.MoreWatches, &storagev1.Watch{Id: w.ID, Name: utf8Text(w.Name)})
	}
	for i, d := range s.Damage {
		if i == maxDamage {
			h.Damage = append(h.Damage, fmt.Sprintf("%d more", len(s.Damage)-i))
			break
		}
		h.Damage = append(h.Damage, text(d))
	}
	return h
}

func utf8Texts(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = utf8Text(s)
	}
	return out
}

func (s *storageServer) Changes(r *storagev1.ChangesRequest, stream grpc.ServerStreamingServer[storagev1.ChangesResponse]) error {
	ch, err := s.storage.Changes(stream.Context(), s.s.refs.ref(r.Mailbox), r.Position)
	if err != nil {
		return err
	}
	return sendChanges(ch, r.Compact, stream.Send)
}

// sendChanges sends an answer to Changes, or the part of another call's answer that is one.
// compact: the receiver understands compact columns.
func sendChanges(ch *backend.Changes, compact bool, send func(*storagev1.ChangesResponse) error) error {
	if ch.Reset != nil {
		return sendReset(ch.Reset, compact, send)
	}
	updated, err := newColumnsSplitter(&ch.Updated, compact)
	if err != nil {
		return err
	}
	appended, err := newColumnsSplitter(&ch.Appended, compact)
	if err != nil {
		return err
	}
	err = send(&storagev1.ChangesResponse{Header: &storagev1.ChangesHeader{
		UidNext:        uint32(ch.UIDNext),
		FirstRecentUid: uint32(ch.FirstRecentUID),
		HighestModSeq:  ch.HighestModSeq,
		Keywords:       utf8Texts(ch.Keywords),
		Position:       ch.Position,
		ExpungedCount:  uint32(len(ch.Expunged)),
		UpdatedCount:   uint32(len(ch.Updated.UIDs)),
		AppendedCount:  uint32(len(ch.Appended.UIDs)),
	}})
	for rest := ch.Expunged; err == nil && len(rest) > 0; {
		n := min(len(rest), columnBytes/4)
		err = send(&storagev1.ChangesResponse{Expunged: appendUint32s(nil, rest[:n])})
		rest = rest[n:]
	}
	for c := updated.split(); err == nil && c != nil; c = updated.split() {
		err = send(&storagev1.ChangesResponse{Updated: c})
	}
	for c := appended.split(); err == nil && c != nil; c = appended.split() {
		err = send(&storagev1.ChangesResponse{Appended: c})
	}
	return err
}

func sendReset(snap *backend.Snapshot, compact bool, send func(*storagev1.ChangesResponse) error) error {
	cols, err := newColumnsSplitter(&snap.Messages, compact)
	if err != nil {
		return err
	}
	err = send(&storagev1.ChangesResponse{Reset_: snapshotToProto(snap)})
	for c := cols.split(); err == nil && c != nil; c = cols.split() {
		err = send(&storagev1.ChangesResponse{ResetMessages: c})
	}
	return err
}

func (s *storageServer) WatchFile(ctx context.Context, _ *storagev1.WatchFileRequest) (*storagev1.WatchFileResponse, error) {
	w, ok := s.storage.(backend.Watcher)
	if !ok || s.s.opts.FDs == nil {
		return nil, backend.Errorf(backend.KindUnsupported, "no watches")
	}
	f, err := w.WatchFile(ctx)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	token, err := s.s.opts.FDs.Send(f)
	if err != nil {
		return nil, err
	}
	return &storagev1.WatchFileResponse{Token: token}, nil
}

func (s *storageServer) Unwatch(ctx context.Context, r *storagev1.UnwatchRequest) (*storagev1.UnwatchResponse, error) {
	w, ok := s.storage.(backend.Watcher)
	if !ok {
		return nil, backend.Errorf(backend.KindUnsupported, "no watches")
	}
	return &storagev1.UnwatchResponse{}, w.Unwatch(ctx, r.Watches)
}

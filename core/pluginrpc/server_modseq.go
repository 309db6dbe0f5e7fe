package pluginrpc

import (
	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// modseqs returns the plugin as backend.ModSeqs.
func (s *storageServer) modseqs() (backend.ModSeqs, error) {
	m, ok := s.storage.(backend.ModSeqs)
	if !ok || !s.s.plugin.Info().Has(backend.CapModSeqs) {
		return nil, backend.Errorf(backend.KindUnsupported, "the mail storage keeps no modseqs")
	}
	return m, nil
}

func (s *storageServer) EnableModSeqs(r *storagev1.EnableModSeqsRequest, stream grpc.ServerStreamingServer[storagev1.EnableModSeqsResponse]) error {
	m, err := s.modseqs()
	if err != nil {
		return err
	}
	id, err := optionalIDFromProto("mailbox_id", r.MailboxId)
	if err != nil {
		return err
	}
	changed, err := m.EnableModSeqs(withRequestID(stream.Context(), r.RequestId), s.s.refs.ref(r.Mailbox), id, r.Since)
	if err != nil {
		return err
	}
	err = stream.Send(&storagev1.EnableModSeqsResponse{Header: &storagev1.EnableModSeqsHeader{}})
	if err != nil || changed == nil {
		return err
	}
	return sendChanges(changed, false, func(c *storagev1.ChangesResponse) error {
		return stream.Send(&storagev1.EnableModSeqsResponse{Changes: c})
	})
}

func (s *storageServer) Expunged(r *storagev1.ExpungedRequest, stream grpc.ServerStreamingServer[storagev1.ExpungedResponse]) error {
	m, err := s.modseqs()
	if err != nil {
		return err
	}
	id, err := optionalIDFromProto("mailbox_id", r.MailboxId)
	if err != nil {
		return err
	}
	res, err := m.Expunged(stream.Context(), s.s.refs.ref(r.Mailbox), id, r.ModSeq)
	if err != nil {
		return err
	}
	uids := make([]uint32, 0, 2*len(res.UIDs))
	for _, u := range res.UIDs {
		uids = append(uids, u.First, u.Last)
	}
	err = stream.Send(&storagev1.ExpungedResponse{Header: &storagev1.ExpungedHeader{Known: res.Known, RangeCount: uint32(len(res.UIDs))}})
	if err != nil {
		return err
	}
	return sendColumn(uids, func(column []byte) error { return stream.Send(&storagev1.ExpungedResponse{Ranges: column}) })
}

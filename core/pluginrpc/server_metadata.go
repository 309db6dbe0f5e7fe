package pluginrpc

import (
	"context"

	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// metadataServer serves roost.storage.v1.Metadata.
type metadataServer struct {
	storagev1.UnimplementedMetadataServer
	s *Server
}

// metadata returns the plugin as backend.Metadata.
func (m *metadataServer) metadata() (backend.Metadata, error) {
	p, ok := m.s.plugin.(backend.Metadata)
	if !ok || !m.s.plugin.Info().Has(backend.CapMetadata) {
		return nil, backend.Errorf(backend.KindUnsupported, "the mail storage keeps no annotations")
	}
	return p, nil
}

// metadataBytes is about the size of a GetMetadataResponse with several entries.
const metadataBytes = 128 << 10

func (m *metadataServer) GetMetadata(r *storagev1.GetMetadataRequest, stream grpc.ServerStreamingServer[storagev1.GetMetadataResponse]) error {
	p, err := m.metadata()
	if err != nil {
		return err
	}
	q := backend.MetadataQuery{Entries: r.Entries, Depth: backend.MetadataDepth(r.Depth)}
	all, err := p.GetMetadata(stream.Context(), userFromProto(r.User), r.Namespace, r.Names, q)
	if err != nil {
		return err
	}
	for i := range all {
		if err := sendMetadata(uint32(i), &all[i], stream.Send); err != nil {
			return err
		}
	}
	return nil
}

// sendMetadata sends what there is of one mailbox.
func sendMetadata(i uint32, m *backend.MailboxMetadata, send func(*storagev1.GetMetadataResponse) error) error {
	if m.Err != nil {
		return send(&storagev1.GetMetadataResponse{Mailbox: i, Error: errorToProto(m.Err)})
	}
	resp, size := &storagev1.GetMetadataResponse{Mailbox: i}, 0
	flush := func() error {
		if len(resp.Entries) == 0 {
			return nil
		}
		err := send(resp)
		resp, size = &storagev1.GetMetadataResponse{Mailbox: i}, 0
		return err
	}
	for _, e := range m.Entries {
		n := len(e.Name) + len(e.Value) + 16
		if n > maxFrameItem {
			return backend.Errorf(backend.KindLimit, "an annotation is too large to be read")
		}
		if size+n > metadataBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		resp.Entries = append(resp.Entries, metadataToProto(e))
		size += n
	}
	return flush()
}

func (m *metadataServer) SetMetadata(ctx context.Context, r *storagev1.SetMetadataRequest) (*storagev1.SetMetadataResponse, error) {
	p, err := m.metadata()
	if err != nil {
		return nil, err
	}
	changes := make([]backend.MetadataEntry, len(r.Changes))
	for i, c := range r.Changes {
		changes[i] = metadataFromProto(c)
	}
	return &storagev1.SetMetadataResponse{}, p.SetMetadata(withRequestID(ctx, r.RequestId), m.s.refs.ref(r.Mailbox), changes)
}

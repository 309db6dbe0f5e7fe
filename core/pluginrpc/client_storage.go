package pluginrpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/emersion/go-imap/v2"
	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// Storage is a storage plugin at the other end of a connection. It implements
// backend.Storage, backend.Watcher (KindUnsupported unless CapWatchFD is
// announced and a descriptor channel is there), and backend.Writer
// (KindUnsupported unless CapWrite is announced, KindReadOnly if it was configured with ReadOnly), and the optional interfaces, each with its capability.
type Storage struct {
	*client
	conn     grpc.ClientConnInterface
	storage  storagev1.StorageClient
	metadata storagev1.MetadataClient
	quota    storagev1.QuotaClient
	acl      storagev1.ACLClient
	fetches  fetchStreams
	refs     *sentRefs
}

func newStorage(c *client, conn grpc.ClientConnInterface) *Storage {
	warmStorage()
	return &Storage{client: c, conn: conn, storage: storagev1.NewStorageClient(conn), metadata: storagev1.NewMetadataClient(conn), quota: storagev1.NewQuotaClient(conn), acl: storagev1.NewACLClient(conn), refs: newSentRefs()}
}

// mailboxToProto fails with KindInvalidArgument on a name that is not UTF-8.
func mailboxToProto(m backend.MailboxRef) (*storagev1.MailboxRef, error) {
	if err := checkUTF8("mailbox name", m.Name); err != nil {
		return nil, err
	}
	return &storagev1.MailboxRef{User: userToProto(m.User), Namespace: m.Namespace, Name: m.Name}, nil
}

// ListMailboxes implements backend.Storage.
func (s *Storage) ListMailboxes(ctx context.Context, u *backend.User, namespace string) ([]backend.MailboxInfo, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.storage.ListMailboxes(ctx, &storagev1.ListMailboxesRequest{User: userToProto(u), Namespace: namespace, Columns: true})
	if err != nil {
		return nil, s.err(ctx, err)
	}
	j := mailboxJoiner{s: s}
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			return j.list, nil
		}
		if err != nil {
			return nil, s.err(ctx, err)
		}
		if err := j.add(resp); err != nil {
			return nil, err
		}
	}
}

// Status implements backend.Storage. Long lists of names take several calls.
func (s *Storage) Status(ctx context.Context, u *backend.User, namespace string, names []string, items backend.StatusItems) ([]backend.MailboxStatus, error) {
	for _, name := range names {
		if err := checkUTF8("mailbox name", name); err != nil {
			return nil, err
		}
	}
	user := userToProto(u)
	out := make([]backend.MailboxStatus, 0, len(names))
	for len(names) > 0 {
		n := statusBatch(names)
		resp, err := s.storage.Status(ctx, &storagev1.StatusRequest{User: user, Namespace: namespace, Names: names[:n], Items: uint32(items)})
		if err != nil {
			return nil, s.err(ctx, err)
		}
		if len(resp.Mailboxes) != n {
			return nil, s.lie("Status", fmt.Errorf("%d elements for %d names", len(resp.Mailboxes), n))
		}
		for i, p := range resp.Mailboxes {
			m, err := statusFromProto(p)
			if err != nil {
				return nil, s.lie("Status", err)
			}
			m.Name = names[i]
			out = append(out, m)
		}
		names = names[n:]
	}
	return out, nil
}

// statusBatch returns how many of the names go into one request, at least 1.
func statusBatch(names []string) int {
	bytes := 0
	for i, name := range names {
		bytes += len(name)
		if i > 0 && (i == maxStatusNames || bytes > maxStatusBytes) {
			return i
		}
	}
	return len(names)
}

func statusFromProto(p *storagev1.MailboxStatus) (backend.MailboxStatus, error) {
	m := backend.MailboxStatus{
		Err:           errorFromProto(p.GetError()),
		Messages:      p.GetMessages(),
		Recent:        p.GetRecent(),
		Unseen:        p.GetUnseen(),
		UIDNext:       imap.UID(p.GetUidNext()),
		UIDValidity:   p.GetUidValidity(),
		HighestModSeq: p.GetHighestModSeq(),
		Size:          p.GetSize(),
		Deleted:       p.GetDeleted(),
		DeletedSize:   p.GetDeletedSize(),
	}
	if id := p.GetMailboxId(); len(id) != 0 && len(id) != len(m.MailboxID) {
		return m, fmt.Errorf("mailbox_id of %d bytes", len(id))
	}
	copy(m.MailboxID[:], p.GetMailboxId())
	if n := len(p.GetWatches()); n > maxStatusWatches {
		return m, fmt.Errorf("%d watches for one mailbox", n)
	}
	for _, w := range p.GetWatches() {
		if w.GetId() == 0 {
			return m, errors.New("watch 0")
		}
		m.Watches = append(m.Watches, backend.Watch{ID: w.GetId(), Name: w.GetName()})
	}
	return m, nil
}

// WatchFile implements backend.Watcher.
func (s *Storage) WatchFile(ctx context.Context) (*os.File, error) {
	if s.fds == nil || !s.info.Has(backend.CapWatchFD) {
		return nil, backend.Errorf(backend.KindUnsupported, "no watches")
	}
	resp, err := s.storage.WatchFile(ctx, &storagev1.WatchFileRequest{})
	if err != nil {
		return nil, s.err(ctx, err)
	}
	f, err := s.fds.Receive(resp.Token)
	if err != nil {
		return nil, s.lie("WatchFile", err)
	}
	if err := checkInotify(f); err != nil {
		f.Close()
		return nil, s.lie("WatchFile", err)
	}
	return f, nil
}

// Unwatch implements backend.Watcher.
func (s *Storage) Unwatch(ctx context.Context, watches []int32) error {
	_, err := s.storage.Unwatch(ctx, &storagev1.UnwatchRequest{Watches: watches})
	return s.err(ctx, err)
}

package pluginrpc

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// The calls of backend.ModSeqs.

func (s *Storage) keepsModSeqs() error {
	if !s.info.Has(backend.CapModSeqs) {
		return backend.Errorf(backend.KindUnsupported, "the mail storage keeps no modseqs")
	}
	return nil
}

// EnableModSeqs implements backend.ModSeqs.
func (s *Storage) EnableModSeqs(ctx context.Context, m backend.MailboxRef, id [16]byte, since []byte) (*backend.Changes, error) {
	if err := s.keepsModSeqs(); err != nil {
		return nil, err
	}
	if s.readOnly {
		return nil, backend.Errorf(backend.KindReadOnly, "the mail storage is read-only")
	}
	ref, err := mailboxToProto(m)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.storage.EnableModSeqs(ctx, &storagev1.EnableModSeqsRequest{
		Mailbox: ref, MailboxId: optionalID(id), RequestId: requestID(ctx), Since: since})
	if err != nil {
		return nil, s.err(ctx, err)
	}
	return receive(ctx, s, stream, nil, answer[*storagev1.EnableModSeqsResponse]{
		call: "EnableModSeqs", since: since,
		header: func(resp *storagev1.EnableModSeqsResponse) error {
			if resp.Header == nil {
				return errNoHeader
			}
			return nil
		},
	})
}

// Expunged implements backend.ModSeqs.
func (s *Storage) Expunged(ctx context.Context, m backend.MailboxRef, id [16]byte, modseq uint64) (*backend.ExpungedResult, error) {
	if err := s.keepsModSeqs(); err != nil {
		return nil, err
	}
	req := &storagev1.ExpungedRequest{MailboxId: optionalID(id), ModSeq: modseq}
	if err := s.refs.address(req, m); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.storage.Expunged(ctx, req)
	if err != nil {
		return nil, s.err(ctx, err)
	}
	resp, err := stream.Recv()
	if err != nil {
		return nil, s.streamErr(ctx, "Expunged", err)
	}
	j, err := newRangesJoiner(resp.Header, s.limits.MaxMessages)
	for err == nil {
		if resp, err = stream.Recv(); err == io.EOF {
			if err = j.done(); err == nil {
				return &j.out, nil
			}
			break
		}
		if err != nil {
			return nil, s.err(ctx, err)
		}
		err = j.add(resp.Ranges)
	}
	return nil, s.lie("Expunged", err)
}

// rangesJoiner puts a column of ranges together. Errors are the broken rules.
type rangesJoiner struct {
	want int
	last uint32
	out  backend.ExpungedResult
}

func newRangesJoiner(h *storagev1.ExpungedHeader, most int) (*rangesJoiner, error) {
	switch {
	case h == nil:
		return nil, errNoHeader
	case !h.Known && h.RangeCount > 0:
		return nil, errors.New("ranges of what is not known")
	case int64(h.RangeCount) > int64(most):
		return nil, fmt.Errorf("%d ranges exceed plugin_max_messages = %d", h.RangeCount, most)
	}
	return &rangesJoiner{want: int(h.RangeCount), out: backend.ExpungedResult{Known: h.Known}}, nil
}

func (j *rangesJoiner) add(col []byte) error {
	if len(col) == 0 || len(col)%8 != 0 || len(col)/8 > j.want-len(j.out.UIDs) {
		return fmt.Errorf("column ranges of %d bytes after %d of %d ranges", len(col), len(j.out.UIDs), j.want)
	}
	uids := decodeUint32s(nil, col)
	for i := 0; i < len(uids); i += 2 {
		r := backend.UIDRange{First: uids[i], Last: uids[i+1]}
		if r.First <= j.last || r.Last < r.First {
			return fmt.Errorf("range %d:%d after UID %d", r.First, r.Last, j.last)
		}
		j.last = r.Last
		j.out.UIDs = append(j.out.UIDs, r)
	}
	return nil
}

func (j *rangesJoiner) done() error {
	if len(j.out.UIDs) != j.want {
		return fmt.Errorf("%d ranges were announced, %d came", j.want, len(j.out.UIDs))
	}
	return nil
}

var _ backend.ModSeqs = (*Storage)(nil)

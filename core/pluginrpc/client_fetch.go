package pluginrpc

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// Fetch implements backend.Storage. Long lists of UIDs take several calls.
// When it fails, the messages sent before stay sent, and the last one may lack
// a part of its body: the caller goes on from there.
func (s *Storage) Fetch(ctx context.Context, r *backend.FetchRequest, sink backend.FetchSink) error {
	ref, err := mailboxToProto(r.Mailbox)
	if err != nil {
		return err
	}
	for _, name := range r.HeaderFields {
		if err := checkUTF8("header field name", name); err != nil {
			return err
		}
	}
	for uids := r.UIDs; len(uids) > 0; {
		n := min(len(uids), maxFetchUIDs)
		err := s.fetch(ctx, &storagev1.FetchRequest{
			Mailbox:      ref,
			Uids:         appendUint32s(make([]byte, 0, 4*n), uids[:n]),
			Items:        uint32(r.Items),
			HeaderFields: r.HeaderFields,
			Offset:       r.Offset,
			Length:       r.Length,
		}, &fetchReceiver{sink: sink, wanted: uids[:n]})
		if err != nil {
			return err
		}
		uids = uids[n:]
	}
	return nil
}

func (s *Storage) fetch(ctx context.Context, req *storagev1.FetchRequest, recv *fetchReceiver) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.storage.Fetch(ctx, req)
	if err != nil {
		return s.err(ctx, err)
	}
	var frame inFrame
	defer frame.reset()
	for {
		err := stream.RecvMsg(&frame)
		if err == io.EOF {
			err = recv.end()
		} else if err != nil {
			return s.err(ctx, err)
		} else if err = frame.check(); err == nil {
			err = recv.frame(&frame)
		} else {
			err = brokenRule{err}
		}
		if rule := (brokenRule{}); errors.As(err, &rule) {
			return s.lie("Fetch", rule.error)
		}
		if err != nil || recv.ended {
			return err
		}
	}
}

// brokenRule tells a plugin's fault from an error of the sink.
type brokenRule struct{ error }

func ruleBroken(format string, args ...any) error { return brokenRule{fmt.Errorf(format, args...)} }

// fetchReceiver gives frames to a sink, message by message.
type fetchReceiver struct {
	sink   backend.FetchSink
	wanted []uint32 // UIDs that may still come
	m      backend.FetchedMessage
	left   uint64 // bytes of m's body that are still to come
	ended  bool
}

// frame delivers one response. Its error is that of the sink, or a brokenRule.
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
			return err
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
	if r.m.Err != nil && (hasBody || r.m.BodySize != 0 || len(r.m.GUID)+len(r.m.HeaderFields)+len(r.m.BodyStructure) != 0) {
		return ruleBroken("UID %d: data beside an error", uid)
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
		if err := r.sink.Body(p); err != nil {
			return err
		}
	}
	return nil
}

func (r *fetchReceiver) end() error {
	r.ended = true
	if r.left > 0 {
		return ruleBroken("UID %d: the answer ends %d bytes before the body's end", r.m.UID, r.left)
	}
	return nil
}

var _ interface {
	backend.Storage
	backend.Watcher
} = (*Storage)(nil)

var _ interface {
	backend.Auth
	backend.UserLookup
} = (*Auth)(nil)

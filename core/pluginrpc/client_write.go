package pluginrpc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// Writes are made with streams of their own, also those that are unary on the wire: it is then known
// whether a call that failed had been sent at all (ErrUnsent).

// writable refuses writes that the plugin can not or may not do.
func (s *Storage) writable() error {
	switch {
	case s.readOnly:
		return backend.Errorf(backend.KindReadOnly, "the mail storage is read-only")
	case !s.info.Has(backend.CapWrite):
		return backend.Errorf(backend.KindUnsupported, "the mail storage can not be written")
	}
	return nil
}

// requestID returns that of the context, or a new one.
func requestID(ctx context.Context) []byte {
	id, ok := backend.RequestID(ctx)
	if !ok {
		_, _ = rand.Read(id[:]) // never fails
	}
	return id[:]
}

// write makes a unary call. resp is set if it succeeds.
func (s *Storage) write(ctx context.Context, method string, req, resp proto.Message) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.conn.NewStream(ctx, &grpc.StreamDesc{}, method)
	if err != nil {
		return unsent(s.err(ctx, err))
	}
	if err := stream.SendMsg(req); err != nil && err != io.EOF { // EOF: RecvMsg tells why
		return s.err(ctx, err)
	}
	return s.err(ctx, stream.RecvMsg(resp))
}

// uidStream is the client's side of a call whose requests and responses are streams.
type uidStream[Req any, Resp writeResponse] interface {
	Send(Req) error
	CloseSend() error
	Recv() (Resp, error)
}

// writeResponse is a response of Store, Copy, Expunge or ClaimRecent.
type writeResponse interface {
	GetChanges() *storagev1.ChangesResponse
}

// sendUIDs sends a request and ends the stream. next returns the request with a column of UIDs: first the whole
// request, then one that has nothing else. It returns io.EOF if the plugin has given up the call before: the answer tells why.
func sendUIDs[Req any, Resp writeResponse](stream uidStream[Req, Resp], uids []uint32, next func(column []byte) Req) error {
	for first := true; first || len(uids) > 0; first = false {
		n := min(len(uids), maxFetchUIDs)
		if err := stream.Send(next(appendUint32s(make([]byte, 0, 4*n), uids[:n]))); err != nil {
			return err
		}
		uids = uids[n:]
	}
	return stream.CloseSend()
}

var errEarly = errors.New("an answer before the end of the request")

// answer is how the answer to a write is taken apart: by header from the first response, and by columns, which may be
// nil, from those up to the changes. done checks that all has come. Errors are the broken rules.
type answer[Resp writeResponse] struct {
	call    string
	since   []byte // of the request
	header  func(Resp) error
	columns func(Resp) error
	done    func() error
}

// receive reads an answer to its end. sendErr is the error of sending the request.
func receive[Resp writeResponse](ctx context.Context, s *Storage, stream interface{ Recv() (Resp, error) }, sendErr error, a answer[Resp]) (*backend.Changes, error) {
	if sendErr != nil && sendErr != io.EOF {
		return nil, s.err(ctx, sendErr)
	}
	resp, err := stream.Recv()
	if err != nil {
		return nil, s.streamErr(ctx, a.call, err)
	}
	if sendErr != nil {
		return nil, s.lie(a.call, errEarly)
	}
	if err := a.header(resp); err != nil {
		return nil, s.lie(a.call, err)
	}
	var changes *changesJoiner
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, s.err(ctx, err)
		}
		switch c := resp.GetChanges(); {
		case changes != nil && c != nil:
			err = changes.add(c)
		case c != nil && len(a.since) == 0:
			err = s.lie(a.call, errors.New("changes that were not asked for"))
		case c != nil:
			changes, err = s.newChangesJoiner(a.call, c)
		case changes != nil || a.columns == nil:
			err = s.lie(a.call, errors.New("response without changes"))
		default:
			if err = a.columns(resp); err != nil {
				err = s.lie(a.call, err)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	if a.done != nil {
		if err := a.done(); err != nil {
			return nil, s.lie(a.call, err)
		}
	}
	if changes == nil {
		return nil, nil
	}
	return changes.done()
}

// uidsJoiner puts a column of UIDs together. Errors are the broken rules.
type uidsJoiner struct {
	name  string
	want  int      // announced number
	asked []uint32 // what they may be; nil: any
	out   []uint32
}

func newUIDsJoiner(name string, announced uint32, asked []uint32) (*uidsJoiner, error) {
	if int64(announced) > int64(len(asked)) {
		return nil, fmt.Errorf("%d UIDs of %s for %d that were asked for", announced, name, len(asked))
	}
	return &uidsJoiner{name: name, want: int(announced), asked: asked}, nil
}

func (j *uidsJoiner) add(col []byte) error {
	if len(col) == 0 || len(col)%4 != 0 || len(col)/4 > j.want-len(j.out) {
		return fmt.Errorf("column %s of %d bytes after %d of %d UIDs", j.name, len(col), len(j.out), j.want)
	}
	from := len(j.out)
	j.out = decodeUint32s(j.out, col)
	if err := checkAscending(j.out, from, math.MaxUint32); err != nil {
		return fmt.Errorf("%s: %w", j.name, err)
	}
	if j.asked == nil {
		return nil
	}
	for _, u := range j.out[from:] {
		for len(j.asked) > 0 && j.asked[0] < u {
			j.asked = j.asked[1:]
		}
		if len(j.asked) == 0 || j.asked[0] != u {
			return fmt.Errorf("%s: UID %d was not asked for", j.name, u)
		}
	}
	return nil
}

func (j *uidsJoiner) done() error {
	if len(j.out) != j.want {
		return fmt.Errorf("%d UIDs of %s were announced, %d came", j.want, j.name, len(j.out))
	}
	return nil
}

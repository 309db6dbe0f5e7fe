package pluginrpc

import (
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// liarWrites are what a liar answers to writes.
type liarWrites struct {
	hasty   bool // it answers before the request has ended
	saved   *storagev1.AppendResponse
	stored  []*storagev1.StoreResponse
	copied  []*storagev1.CopyResponse
	removed []*storagev1.ExpungeResponse
	claimed []*storagev1.ClaimRecentResponse

	vanished []*storagev1.ExpungedResponse
	enabled  []*storagev1.EnableModSeqsResponse
}

// drain reads a request to its end, as far as the liar is patient.
func (l *liar) drain(recv func() error) error {
	for {
		err := recv()
		if errors.Is(err, io.EOF) || err == nil && l.hasty {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (l *liar) Append(s grpc.ClientStreamingServer[storagev1.AppendRequest, storagev1.AppendResponse]) error {
	if err := l.drain(func() error { _, err := s.Recv(); return err }); err != nil {
		return err
	}
	return s.SendAndClose(l.saved)
}

// answerWrite drains a request and sends an answer.
func answerWrite[Req, Resp any](l *liar, s grpc.BidiStreamingServer[Req, Resp], msgs []*Resp) error {
	if err := l.drain(func() error { _, err := s.Recv(); return err }); err != nil {
		return err
	}
	for _, m := range msgs {
		if err := s.Send(m); err != nil {
			return err
		}
	}
	return nil
}

func (l *liar) Store(s grpc.BidiStreamingServer[storagev1.StoreRequest, storagev1.StoreResponse]) error {
	return answerWrite(l, s, l.stored)
}
func (l *liar) Copy(s grpc.BidiStreamingServer[storagev1.CopyRequest, storagev1.CopyResponse]) error {
	return answerWrite(l, s, l.copied)
}
func (l *liar) Expunge(s grpc.BidiStreamingServer[storagev1.ExpungeRequest, storagev1.ExpungeResponse]) error {
	return answerWrite(l, s, l.removed)
}
func (l *liar) ClaimRecent(_ *storagev1.ClaimRecentRequest, s grpc.ServerStreamingServer[storagev1.ClaimRecentResponse]) error {
	return sendEach(s, l.claimed)
}

func uidColumn(uids ...uint32) []byte { return appendUint32s(nil, uids) }

func TestLiesInAppend(t *testing.T) {
	for _, c := range []struct {
		rule string
		resp *storagev1.AppendResponse
	}{
		{"uid_validity is 0", &storagev1.AppendResponse{Uids: uidColumn(1, 2)}},
		{"column uids of 4 bytes for 2 messages", &storagev1.AppendResponse{UidValidity: 1, Uids: uidColumn(1)}},
		{"column uids of 12 bytes for 2 messages", &storagev1.AppendResponse{UidValidity: 1, Uids: uidColumn(1, 2, 3)}},
		{"column uids of 7 bytes for 2 messages", &storagev1.AppendResponse{UidValidity: 1, Uids: make([]byte, 7)}},
		{"UID 0 after UID 0", &storagev1.AppendResponse{UidValidity: 1, Uids: uidColumn(0, 1)}},
		{"UID 5 after UID 5", &storagev1.AppendResponse{UidValidity: 1, Uids: uidColumn(5, 5)}},
		{"UID 4294967295", &storagev1.AppendResponse{UidValidity: 1, Uids: uidColumn(5, 1<<32-1)}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			messages, _ := messagesOf(3, 4)
			_, err := (&liar{liarWrites: liarWrites{saved: c.resp}}).storage(t).Append(t.Context(), &backend.AppendRequest{Mailbox: testRef, Messages: messages})
			checkLie(t, err, c.rule)
		})
	}
}

// TestLiesInAppendToOpenMailbox: what an answer to Append tells besides, for who asked for it.
func TestLiesInAppendToOpenMailbox(t *testing.T) {
	header := func(h *storagev1.ChangesHeader) *storagev1.ChangesResponse {
		return &storagev1.ChangesResponse{Header: h}
	}
	good := header(&storagev1.ChangesHeader{UidNext: 100, HighestModSeq: 9, Position: []byte{1}})
	type parts = []*storagev1.ChangesResponse
	for _, c := range []struct {
		rule    string
		changes parts
		claimed *storagev1.ClaimRecentHeader
		since   string
	}{
		{"changes that were not asked for", parts{good}, nil, ""},
		{"changes without header", parts{{Expunged: uidColumn(1)}}, nil, "x"},
		{"changes without header", parts{{Reset_: &storagev1.SnapshotHeader{}}}, nil, "x"},
		{"of more than 4096 messages", parts{header(&storagev1.ChangesHeader{UidNext: 100, Position: []byte{1}, ExpungedCount: 1<<32 - 1, AppendedCount: 1})}, nil, "x"},
		{"expunged", parts{good, {Expunged: uidColumn(1)}}, nil, "x"},
		{"expunged", parts{header(&storagev1.ChangesHeader{UidNext: 100, HighestModSeq: 9, Position: []byte{1}, ExpungedCount: 1})}, nil, "x"},
		{"a claim that was not asked for", nil, &storagev1.ClaimRecentHeader{First: 1, Next: 2}, ""},
		{"a claim of the UIDs from 0 to before 2", nil, &storagev1.ClaimRecentHeader{Next: 2}, "x"},
		{"a claim of the UIDs from 3 to before 2", nil, &storagev1.ClaimRecentHeader{First: 3, Next: 2}, "x"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			messages, _ := messagesOf(3, 4)
			saved := &storagev1.AppendResponse{UidValidity: 1, Uids: uidColumn(1, 2), Changes: c.changes, Claimed: c.claimed}
			_, err := (&liar{liarWrites: liarWrites{saved: saved}}).storage(t).Append(t.Context(),
				&backend.AppendRequest{Mailbox: testRef, Messages: messages, Since: []byte(c.since), Claim: true})
			checkLie(t, err, c.rule)
		})
	}
}

// TestHastyAnswers: success before the end of the request is a lie, also where the request itself went wrong.
func TestHastyAnswers(t *testing.T) {
	l := &liar{liarWrites: liarWrites{hasty: true, saved: &storagev1.AppendResponse{UidValidity: 1, Uids: uidColumn(1)}, stored: []*storagev1.StoreResponse{{Header: &storagev1.StoreHeader{}}}}}
	s := l.storage(t)
	_, err := s.Append(t.Context(), &backend.AppendRequest{Mailbox: testRef, Messages: []backend.AppendMessage{{Size: 1 << 50, Body: &endless{}}}})
	checkLie(t, err, "before the end of the request")
	_, err = s.Append(t.Context(), &backend.AppendRequest{Mailbox: testRef, Messages: []backend.AppendMessage{{Size: 5, Body: strings.NewReader("abc")}}})
	checkLie(t, err, "before the end of the request")
}

func TestLiesInStore(t *testing.T) {
	head := func(n uint32) *storagev1.StoreResponse {
		return &storagev1.StoreResponse{Header: &storagev1.StoreHeader{ModifiedCount: n}}
	}
	modified := func(uids ...uint32) *storagev1.StoreResponse {
		return &storagev1.StoreResponse{Modified: uidColumn(uids...)}
	}
	changes := func(r *storagev1.ChangesResponse) *storagev1.StoreResponse {
		return &storagev1.StoreResponse{Changes: r}
	}
	good := &storagev1.ChangesHeader{UidNext: 100, HighestModSeq: 9, Position: []byte{1}}
	type msgs = []*storagev1.StoreResponse
	for _, c := range []struct {
		rule   string
		stored msgs
	}{
		{"no response", nil},
		{"without header", msgs{modified(2)}},
		{"4 UIDs of modified for 3 that were asked for", msgs{head(4)}},
		{"2 UIDs of modified were announced, 1 came", msgs{head(2), modified(2)}},
		{"column modified of 8 bytes after 0 of 1 UIDs", msgs{head(1), modified(2, 4)}},
		{"column modified of 4 bytes after 1 of 1 UIDs", msgs{head(1), modified(2), modified(4)}},
		{"column modified of 0 bytes", msgs{head(1), {}}},
		{"column modified of 3 bytes", msgs{head(1), {Modified: make([]byte, 3)}}},
		{"UID 4 after UID 4", msgs{head(2), modified(4), modified(4)}},
		{"UID 5 was not asked for", msgs{head(2), modified(4, 5)}},
		{"UID 3 was not asked for", msgs{head(1), modified(3)}},
		{"first response without header or reset", msgs{head(0), changes(&storagev1.ChangesResponse{Updated: columns(nil, 1)})}},
		{"position of 0 bytes", msgs{head(0), changes(&storagev1.ChangesResponse{Header: &storagev1.ChangesHeader{UidNext: 1, HighestModSeq: 1}})}},
		{"response without changes", msgs{head(1), changes(&storagev1.ChangesResponse{Header: good}), modified(2)}},
		{"more messages than the 0 announced", msgs{head(0), changes(&storagev1.ChangesResponse{Header: good}), changes(&storagev1.ChangesResponse{Updated: columns(nil, 2)})}},
		{"1 messages were announced, 0 came", msgs{head(0), changes(&storagev1.ChangesResponse{Reset_: header(1, nil)})}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			s := (&liar{liarWrites: liarWrites{stored: c.stored}}).storage(t)
			_, err := s.Store(t.Context(), &backend.StoreRequest{Mailbox: testRef, UIDs: []uint32{2, 4, 6}, UnchangedSince: 7, Since: []byte("here")})
			checkLie(t, err, c.rule)
		})
	}
	t.Run("without condition", func(t *testing.T) {
		s := (&liar{liarWrites: liarWrites{stored: msgs{head(1), modified(2)}}}).storage(t)
		_, err := s.Store(t.Context(), &backend.StoreRequest{Mailbox: testRef, UIDs: []uint32{2}, UnchangedSince: backend.AnyModSeq})
		checkLie(t, err, "modified messages without unchanged_since")
	})
	t.Run("not asked for", func(t *testing.T) {
		s := (&liar{liarWrites: liarWrites{stored: msgs{head(0), changes(&storagev1.ChangesResponse{Header: good})}}}).storage(t)
		_, err := s.Store(t.Context(), &backend.StoreRequest{Mailbox: testRef, UIDs: []uint32{2}, UnchangedSince: backend.AnyModSeq})
		checkLie(t, err, "changes that were not asked for")
	})
}

func TestLiesInCopy(t *testing.T) {
	head := func(n, uidValidity uint32) *storagev1.CopyResponse {
		return &storagev1.CopyResponse{Header: &storagev1.CopyHeader{CopiedCount: n, UidValidity: uidValidity}}
	}
	pair := func(source, uids []byte) *storagev1.CopyResponse {
		return &storagev1.CopyResponse{Source: source, Uids: uids}
	}
	type msgs = []*storagev1.CopyResponse
	for _, c := range []struct {
		rule   string
		copied msgs
	}{
		{"no response", nil},
		{"without header", msgs{pair(uidColumn(2), uidColumn(9))}},
		{"uid_validity is 0", msgs{head(1, 0)}},
		{"4 UIDs of source for 3 that were asked for", msgs{head(4, 1)}},
		{"2 UIDs of source were announced, 1 came", msgs{head(2, 1), pair(uidColumn(2), uidColumn(9))}},
		{"column source has 4 bytes, uids 8", msgs{head(2, 1), pair(uidColumn(2), uidColumn(9, 10))}},
		{"column source has 0 bytes, uids 4", msgs{head(1, 1), pair(nil, uidColumn(9))}},
		{"source: UID 3 was not asked for", msgs{head(1, 1), pair(uidColumn(3), uidColumn(9))}},
		{"source: UID 2 after UID 4", msgs{head(2, 1), pair(uidColumn(4, 2), uidColumn(9, 10))}},
		{"uids: UID 9 after UID 9", msgs{head(2, 1), pair(uidColumn(2), uidColumn(9)), pair(uidColumn(4), uidColumn(9))}},
		{"uids: UID 0 after UID 0", msgs{head(1, 1), pair(uidColumn(2), uidColumn(0))}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			s := (&liar{liarWrites: liarWrites{copied: c.copied}}).storage(t)
			_, err := s.Copy(t.Context(), &backend.CopyRequest{Mailbox: testRef, UIDs: []uint32{2, 4, 6}, Destination: testRef})
			checkLie(t, err, c.rule)
		})
	}
}

func TestLiesInExpungeAndClaimRecent(t *testing.T) {
	for _, c := range []struct {
		rule    string
		removed []*storagev1.ExpungeResponse
	}{
		{"no response", nil},
		{"without header", []*storagev1.ExpungeResponse{{Expunged: uidColumn(2)}}},
		{"2 UIDs of expunged for 1 that were asked for", []*storagev1.ExpungeResponse{{Header: &storagev1.ExpungeHeader{ExpungedCount: 2}}}},
		{"expunged: UID 3 was not asked for", []*storagev1.ExpungeResponse{{Header: &storagev1.ExpungeHeader{ExpungedCount: 1}}, {Expunged: uidColumn(3)}}},
	} {
		t.Run("Expunge "+c.rule, func(t *testing.T) {
			s := (&liar{liarWrites: liarWrites{removed: c.removed}}).storage(t)
			_, err := s.Expunge(t.Context(), &backend.ExpungeRequest{Mailbox: testRef, UIDs: []uint32{2}})
			checkLie(t, err, c.rule)
		})
	}
	for _, c := range []struct {
		rule    string
		claimed []*storagev1.ClaimRecentResponse
	}{
		{"no response", nil},
		{"without header", []*storagev1.ClaimRecentResponse{{}}},
		{"first is above next", []*storagev1.ClaimRecentResponse{{Header: &storagev1.ClaimRecentHeader{First: 2, Next: 1}}}},
		{"response without changes", []*storagev1.ClaimRecentResponse{{Header: &storagev1.ClaimRecentHeader{First: 1, Next: 2}}, {}}},
	} {
		t.Run("ClaimRecent "+c.rule, func(t *testing.T) {
			s := (&liar{liarWrites: liarWrites{claimed: c.claimed}}).storage(t)
			_, err := s.ClaimRecent(t.Context(), testRef, [16]byte{}, []byte("here"))
			checkLie(t, err, c.rule)
		})
	}
}

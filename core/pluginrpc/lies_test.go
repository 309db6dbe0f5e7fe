package pluginrpc

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	authv1 "github.com/roostmail/roost/proto/roost/auth/v1"
	pluginv1 "github.com/roostmail/roost/proto/roost/plugin/v1"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// liar is a plugin that does not use this package's server side: it sends
// exactly the messages of its fields.
type liar struct {
	pluginv1.UnimplementedPluginServer
	storagev1.UnimplementedStorageServer
	authv1.UnimplementedAuthServer
	kind    string
	list    []*storagev1.ListMailboxesResponse
	status  *storagev1.StatusResponse
	open    []*storagev1.OpenResponse
	changes []*storagev1.ChangesResponse
	fetch   []*storagev1.FetchResponse
	many    func(storagev1.Storage_FetchManyServer) error // nil: it does not know FetchMany
	verify  *authv1.VerifyPasswordResponse
	liarWrites
}

func (l *liar) Info(context.Context, *pluginv1.InfoRequest) (*pluginv1.InfoResponse, error) {
	return &pluginv1.InfoResponse{Kind: l.kind, Name: "liar", Capabilities: []string{backend.CapWatchFD, backend.CapWrite, backend.CapModSeqs}}, nil
}

// sendEach sends all messages of a stream.
func sendEach[T any](stream grpc.ServerStreamingServer[T], msgs []*T) error {
	for _, m := range msgs {
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	return nil
}

func (l *liar) ListMailboxes(_ *storagev1.ListMailboxesRequest, s grpc.ServerStreamingServer[storagev1.ListMailboxesResponse]) error {
	return sendEach(s, l.list)
}
func (l *liar) Status(context.Context, *storagev1.StatusRequest) (*storagev1.StatusResponse, error) {
	return l.status, nil
}
func (l *liar) Open(_ *storagev1.OpenRequest, s grpc.ServerStreamingServer[storagev1.OpenResponse]) error {
	return sendEach(s, l.open)
}
func (l *liar) Changes(_ *storagev1.ChangesRequest, s grpc.ServerStreamingServer[storagev1.ChangesResponse]) error {
	return sendEach(s, l.changes)
}
func (l *liar) Fetch(_ *storagev1.FetchRequest, s grpc.ServerStreamingServer[storagev1.FetchResponse]) error {
	return sendEach(s, l.fetch)
}
func (l *liar) WatchFile(context.Context, *storagev1.WatchFileRequest) (*storagev1.WatchFileResponse, error) {
	return &storagev1.WatchFileResponse{Token: 99}, nil
}
func (l *liar) VerifyPassword(context.Context, *authv1.VerifyPasswordRequest) (*authv1.VerifyPasswordResponse, error) {
	return l.verify, nil
}

func (l *liar) register(r grpc.ServiceRegistrar) {
	pluginv1.RegisterPluginServer(r, l)
	storagev1.RegisterStorageServer(r, l)
	authv1.RegisterAuthServer(r, l)
}

// checkLie expects an error of KindInternal that names the plugin and the rule.
func checkLie(t *testing.T, err error, rule string) {
	t.Helper()
	if err == nil || backend.KindOf(err) != backend.KindInternal || !strings.Contains(err.Error(), "plugin liar broke the protocol") || !strings.Contains(err.Error(), rule) {
		t.Errorf("got %v, want an internal error that names the plugin and %q", err, rule)
	}
}

func (l *liar) storage(t *testing.T) *Storage {
	t.Helper()
	l.kind = "storage"
	fds, child, err := NewFDChannel()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fds.Close(); child.Close() })
	s, err := NewStorage(t.Context(), serve(t, nil, l.register), ClientOptions{FDs: fds})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// header returns a correct header for n messages.
func header(n uint32, edit func(*storagev1.SnapshotHeader)) *storagev1.SnapshotHeader {
	h := &storagev1.SnapshotHeader{MailboxId: make([]byte, 16), UidValidity: 1, UidNext: 100, HighestModSeq: 9, Keywords: []string{"a", "b"}, MessageCount: n, Position: []byte{1}}
	if edit != nil {
		edit(h)
	}
	return h
}

// columns returns correct columns for the UIDs.
func columns(edit func(*storagev1.Columns), uids ...uint32) *storagev1.Columns {
	c := &storagev1.Columns{Uids: appendUint32s(nil, uids), Flags: make([]byte, len(uids)), Keywords: make([]byte, 8*len(uids)), KeywordWords: 1}
	for range uids {
		c.ModSeqs = appendUint64s(c.ModSeqs, []uint64{9})
	}
	if edit != nil {
		edit(c)
	}
	return c
}

func TestLiesInOpen(t *testing.T) {
	head := func(n uint32, edit func(*storagev1.SnapshotHeader)) *storagev1.OpenResponse {
		return &storagev1.OpenResponse{Header: header(n, edit)}
	}
	cols := func(edit func(*storagev1.Columns), uids ...uint32) *storagev1.OpenResponse {
		return &storagev1.OpenResponse{Messages: columns(edit, uids...)}
	}
	type msgs = []*storagev1.OpenResponse
	for _, c := range []struct {
		rule string
		open msgs
	}{
		{"no response", nil},
		{"without header", msgs{cols(nil, 1)}},
		{"without messages", msgs{head(1, nil), head(1, nil)}},
		{"uid_validity is 0", msgs{head(0, func(h *storagev1.SnapshotHeader) { h.UidValidity = 0 })}},
		{"uid_next is 0", msgs{head(0, func(h *storagev1.SnapshotHeader) { h.UidNext = 0 })}},
		{"highest_mod_seq is 0", msgs{head(0, func(h *storagev1.SnapshotHeader) { h.HighestModSeq = 0 })}},
		{"more_watches has 1 elements, watch is 0", msgs{head(0, func(h *storagev1.SnapshotHeader) { h.MoreWatches = []*storagev1.Watch{{Id: 1}} })}},
		{"more_watches has 9 elements", msgs{head(0, func(h *storagev1.SnapshotHeader) { h.Watch, h.MoreWatches = 1, make([]*storagev1.Watch, 9) })}},
		{"an element of more_watches has the id 0", msgs{head(0, func(h *storagev1.SnapshotHeader) { h.Watch, h.MoreWatches = 1, []*storagev1.Watch{{Name: "x"}} })}},
		{"mailbox_id of 15 bytes", msgs{head(0, func(h *storagev1.SnapshotHeader) { h.MailboxId = h.MailboxId[1:] })}},
		{"position of 0 bytes", msgs{head(0, func(h *storagev1.SnapshotHeader) { h.Position = nil })}},
		{"position of 65 bytes", msgs{head(0, func(h *storagev1.SnapshotHeader) { h.Position = make([]byte, 65) })}},
		{"not a multiple of 4", msgs{head(1, nil), cols(func(c *storagev1.Columns) { c.Uids = append(c.Uids, 0) }, 1)}},
		{"columns without messages", msgs{head(0, nil), cols(nil)}},
		{"more messages than the 1 announced", msgs{head(1, nil), cols(nil, 1, 2)}},
		{"2 messages were announced, 1 came", msgs{head(2, nil), cols(nil, 1)}},
		{"4000000 messages were announced, 1 came", msgs{head(4_000_000, nil), cols(nil, 1)}},
		{"column flags has 0 bytes", msgs{head(1, nil), cols(func(c *storagev1.Columns) { c.Flags = nil }, 1)}},
		{"column keywords has 7 bytes", msgs{head(1, nil), cols(func(c *storagev1.Columns) { c.Keywords = c.Keywords[1:] }, 1)}},
		{"column keywords has 8 bytes", msgs{head(1, nil), cols(func(c *storagev1.Columns) { c.KeywordWords = 1<<29 + 1 }, 1)}},
		{"column mod_seqs has 9 bytes", msgs{head(1, nil), cols(func(c *storagev1.Columns) { c.ModSeqs = make([]byte, 9) }, 1)}},
		{"changes between responses", msgs{head(2, nil), cols(nil, 1), cols(func(c *storagev1.Columns) { c.ModSeqs = nil }, 2)}},
		{"changes between responses", msgs{head(2, nil), cols(nil, 1), cols(func(c *storagev1.Columns) { c.KeywordWords, c.Keywords = 0, nil }, 2)}},
		{"uids and uid_runs in one response", msgs{head(2, nil), cols(func(c *storagev1.Columns) { c.UidRuns = []byte{1, 1} }, 1)}},
		{"uid_runs is broken after UID 0", msgs{head(1, nil), cols(func(c *storagev1.Columns) { c.Uids, c.UidRuns = nil, []byte{1} }, 1)}},
		{"uid_runs is broken after UID 1", msgs{head(2, nil), cols(func(c *storagev1.Columns) { c.Uids, c.UidRuns = nil, []byte{1, 1, 0, 1} }, 1)}},
		{"uid_runs is broken after UID 1", msgs{head(2, nil), cols(func(c *storagev1.Columns) { c.Uids, c.UidRuns = nil, []byte{1, 1, 1, 0} }, 1)}},
		{"beyond the last possible UID", msgs{head(9, nil), cols(func(c *storagev1.Columns) { c.Uids, c.UidRuns = nil, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 2} }, 1)}},
		{"1 are left, a run has 2", msgs{head(1, nil), cols(func(c *storagev1.Columns) { c.Uids, c.UidRuns = nil, []byte{1, 2} }, 1)}},
		{"column flags has 1 bytes for 2 messages", msgs{head(2, nil), cols(func(c *storagev1.Columns) { c.Uids, c.UidRuns = nil, []byte{1, 2} }, 1)}},
		{"UID 100 is not below uid_next 100", msgs{head(1, nil), cols(func(c *storagev1.Columns) { c.Uids, c.UidRuns = nil, []byte{100, 1} }, 1)}},
		{"UID 5 after UID 5", msgs{head(2, nil), cols(nil, 5), cols(func(c *storagev1.Columns) { c.Uids, c.UidRuns = nil, []byte{5, 1} }, 5)}},
		{"keyword_bytes 8 with keyword_words 1", msgs{head(1, nil), cols(func(c *storagev1.Columns) { c.KeywordBytes = 8 }, 1)}},
		{"keyword_bytes 1 with keyword_words 2", msgs{head(1, nil), cols(func(c *storagev1.Columns) { c.KeywordBytes, c.KeywordWords = 1, 2 }, 1)}},
		{"column keywords has 8 bytes for 1 messages", msgs{head(1, nil), cols(func(c *storagev1.Columns) { c.KeywordBytes = 2 }, 1)}},
		{"keyword bits without a name", msgs{head(1, nil), cols(func(c *storagev1.Columns) { c.KeywordBytes, c.Keywords = 1, []byte{4} }, 1)}},
		{"UID 0 after UID 0", msgs{head(1, nil), cols(nil, 0)}},
		{"UID 5 after UID 5", msgs{head(2, nil), cols(nil, 5), cols(nil, 5)}},
		{"UID 100 is not below uid_next 100", msgs{head(1, nil), cols(nil, 100)}},
		{"flag bits 0x60", msgs{head(1, nil), cols(func(c *storagev1.Columns) { c.Flags[0] = 0x64 }, 1)}},
		{"keyword bits without a name", msgs{head(1, nil), cols(func(c *storagev1.Columns) { c.Keywords[0] = 4 }, 1)}},
		{"modseq 0 of UID 3", msgs{head(1, nil), cols(func(c *storagev1.Columns) { c.ModSeqs[0] = 0 }, 3)}},
		{"modseq 10 of UID 3", msgs{head(1, nil), cols(func(c *storagev1.Columns) { c.ModSeqs[0] = 10 }, 3)}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			_, err := (&liar{open: c.open}).storage(t).Open(t.Context(), testRef)
			checkLie(t, err, c.rule)
		})
	}
}

func TestLiesInChanges(t *testing.T) {
	head := func(edit func(*storagev1.ChangesHeader)) *storagev1.ChangesResponse {
		h := &storagev1.ChangesHeader{UidNext: 100, HighestModSeq: 9, Keywords: []string{"a"}, Position: []byte{1}}
		if edit != nil {
			edit(h)
		}
		return &storagev1.ChangesResponse{Header: h}
	}
	type msgs = []*storagev1.ChangesResponse
	for _, c := range []struct {
		rule    string
		changes msgs
	}{
		{"no response", nil},
		{"without header or reset", msgs{{Expunged: []byte{1, 0, 0, 0}}}},
		{"uid_next is 0", msgs{head(func(h *storagev1.ChangesHeader) { h.UidNext = 0 })}},
		{"position of 0 bytes", msgs{head(func(h *storagev1.ChangesHeader) { h.Position = nil })}},
		{"1 expunged UIDs were announced, 0 came", msgs{head(func(h *storagev1.ChangesHeader) { h.ExpungedCount = 1 })}},
		{"column expunged of 4 bytes", msgs{head(nil), {Expunged: []byte{1, 0, 0, 0}}}},
		{"column expunged of 3 bytes", msgs{head(func(h *storagev1.ChangesHeader) { h.ExpungedCount = 1 }), {Expunged: []byte{1, 0, 0}}}},
		{"UID 1 after UID 2", msgs{head(func(h *storagev1.ChangesHeader) { h.ExpungedCount = 2 }), {Expunged: []byte{2, 0, 0, 0, 1, 0, 0, 0}}}},
		{"updated: 1 messages were announced", msgs{head(func(h *storagev1.ChangesHeader) { h.UpdatedCount = 1 })}},
		{"appended: 1 messages were announced", msgs{head(func(h *storagev1.ChangesHeader) { h.AppendedCount = 1 })}},
		{"more messages than the 0 announced", msgs{head(nil), {Updated: columns(nil, 1)}}},
		{"more messages than the 0 announced", msgs{head(nil), {Appended: columns(nil, 1)}}},
		{"response without content", msgs{head(nil), {}}},
		{"uid_validity is 0", msgs{{Reset_: header(0, func(h *storagev1.SnapshotHeader) { h.UidValidity = 0 })}}},
		{"1 messages were announced, 0 came", msgs{{Reset_: header(1, nil)}}},
		{"response without messages", msgs{{Reset_: header(1, nil)}, {Updated: columns(nil, 1)}}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			_, err := (&liar{changes: c.changes}).storage(t).Changes(t.Context(), testRef, []byte{1})
			checkLie(t, err, c.rule)
		})
	}
}

func TestLiesInFetch(t *testing.T) {
	one := appendUint32s(nil, []uint32{1})
	type msgs = []*storagev1.FetchResponse
	for _, c := range []struct {
		rule  string
		fetch msgs
	}{
		{"UID 4 was not asked for", msgs{{Uids: appendUint32s(nil, []uint32{4})}}},
		{"UID 1 was not asked for, or comes out of order", msgs{{Uids: appendUint32s(nil, []uint32{2, 1})}}},
		{"UID 2 was not asked for, or comes out of order", msgs{{Uids: appendUint32s(nil, []uint32{2})}, {Uids: appendUint32s(nil, []uint32{2})}}},
		{"column uids has 3 bytes", msgs{{Uids: []byte{1, 0, 0}}}},
		{"column lengths has 4 bytes", msgs{{Uids: one, Lengths: []byte{0, 0, 0, 0}}}},
		{"column sizes has 7 bytes", msgs{{Uids: one, Sizes: make([]byte, 7)}}},
		{"column body_is_message has 2 bytes", msgs{{Uids: one, BodyIsMessage: []byte{0, 0}}}},
		{"lengths add up to 17179869180 bytes, data has 0", msgs{{Uids: one, Lengths: appendUint64s(nil, []uint64{1<<64 - 1, 1<<64 - 1})}}},
		{"lengths add up to 0 bytes, data has 3", msgs{{Uids: one, Data: []byte("abc")}}},
		{"error for message number 1 of 1", msgs{{Uids: one, Errors: []*storagev1.FetchError{{Index: 1, Error: &pluginv1.Error{}}}}}},
		{"error for message number 0 of 1", msgs{{Uids: one, Errors: []*storagev1.FetchError{{Index: 0}}}}},
		{"data beside an error", msgs{{Uids: one, BodySizes: appendUint64s(nil, []uint64{3}), Errors: []*storagev1.FetchError{{Error: &pluginv1.Error{}}}}}},
		{"more body than body_sizes announced", msgs{{Body: []byte("x")}}},
		{"more body than body_sizes announced", msgs{{Uids: one, Lengths: appendUint32s(nil, []uint32{0, 0, 0, 3}), Data: []byte("abc")}}},
		{"the answer ends 2 bytes before the body's end", msgs{{Uids: one, Lengths: appendUint32s(nil, []uint32{0, 0, 0, 3}), BodySizes: appendUint64s(nil, []uint64{5}), Data: []byte("abc")}}},
		{"the answer ends 2147483648 bytes before the body's end", msgs{{Uids: one, BodySizes: appendUint64s(nil, []uint64{1 << 31})}}},
		{"the next message comes 5 bytes before the body's end", msgs{{Uids: one, BodySizes: appendUint64s(nil, []uint64{5})}, {Uids: appendUint32s(nil, []uint32{2})}}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			err := (&liar{fetch: c.fetch}).storage(t).Fetch(t.Context(), &backend.FetchRequest{UIDs: []uint32{1, 2, 3}}, &collector{})
			checkLie(t, err, c.rule)
		})
	}
}

func TestLiesInOtherCalls(t *testing.T) {
	list := func(names ...string) []*storagev1.ListMailboxesResponse {
		r := &storagev1.ListMailboxesResponse{}
		for _, n := range names {
			r.Mailboxes = append(r.Mailboxes, &storagev1.MailboxInfo{Name: n})
		}
		return []*storagev1.ListMailboxesResponse{r}
	}
	listing := func(s *Storage) error { _, err := s.ListMailboxes(t.Context(), nil, ""); return err }
	columns := func(names, attributes string) liar {
		return liar{list: []*storagev1.ListMailboxesResponse{{Names: names, Attributes: []byte(attributes)}}}
	}
	for _, c := range []struct {
		rule string
		liar liar
		call func(*Storage) error
	}{
		{`name "a" after "b"`, columns("b\x00a\x00", "\x00\x00"), listing},
		{`empty name`, columns("\x00", "\x00"), listing},
		{`with 1 NULs for 2 attributes`, columns("a\x00", "\x00\x00"), listing},
		{`with 1 NULs for 1 attributes`, columns("a\x00b", "\x00"), listing},
		{`with 0 NULs for 1 attributes`, columns("", "\x00"), listing},
		{`unknown attribute bits 0x30`, columns("a\x00", "\x31"), listing},
		{`mailboxes and names in one response`, liar{list: []*storagev1.ListMailboxesResponse{
			{Mailboxes: []*storagev1.MailboxInfo{{Name: "a"}}, Names: "b\x00", Attributes: []byte{0}}}}, listing},
		{`response without mailboxes`, liar{list: []*storagev1.ListMailboxesResponse{{Names: "b\x00", Attributes: []byte{0}}, {}}}, listing},
		{`name "a" after "a"`, liar{list: list("a", "a")}, func(s *Storage) error { _, err := s.ListMailboxes(t.Context(), nil, ""); return err }},
		{`empty name`, liar{list: list("")}, func(s *Storage) error { _, err := s.ListMailboxes(t.Context(), nil, ""); return err }},
		{`0 elements for 1 names`, liar{status: &storagev1.StatusResponse{}}, func(s *Storage) error {
			_, err := s.Status(t.Context(), nil, "", []string{"a"}, 0)
			return err
		}},
		{`mailbox_id of 3 bytes`, liar{status: &storagev1.StatusResponse{Mailboxes: []*storagev1.MailboxStatus{{MailboxId: []byte("abc")}}}}, func(s *Storage) error {
			_, err := s.Status(t.Context(), nil, "", []string{"a"}, 0)
			return err
		}},
		{`no descriptor was sent`, liar{}, func(s *Storage) error { _, err := s.WatchFile(t.Context()); return err }},
	} {
		t.Run(c.rule, func(t *testing.T) { checkLie(t, c.call(c.liar.storage(t)), c.rule) })
	}
}

func TestLiesOfAuth(t *testing.T) {
	for _, resp := range []*authv1.VerifyPasswordResponse{{}, {User: &pluginv1.User{}}} {
		a, err := NewAuth(t.Context(), serve(t, nil, (&liar{kind: "auth", verify: resp}).register), ClientOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.VerifyPassword(t.Context(), backend.PasswordRequest{User: "a", Password: "b"})
		checkLie(t, err, "success without a user name")
	}
}

func TestLieAboutTheKind(t *testing.T) {
	_, err := New(t.Context(), serve(t, nil, (&liar{kind: "coffee"}).register), ClientOptions{Name: "liar"})
	checkLie(t, err, `unknown kind "coffee"`)
	if _, err := NewStorage(t.Context(), serve(t, nil, (&liar{kind: "auth"}).register), ClientOptions{}); err == nil {
		t.Error("an auth plugin was taken for storage")
	}
}

// TestTooLargeMessage: gRPC itself refuses, and the error still names the plugin.
func TestTooLargeMessage(t *testing.T) {
	l := &liar{fetch: []*storagev1.FetchResponse{{Data: make([]byte, MaxMessage)}}}
	err := l.storage(t).Fetch(t.Context(), &backend.FetchRequest{UIDs: []uint32{1}}, &collector{})
	if err == nil || backend.KindOf(err) != backend.KindLimit || !strings.Contains(err.Error(), "plugin liar") {
		t.Errorf("got %v, want an error of KindLimit that names the plugin", err)
	}
}

package pluginrpc

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// fakeModSeqs answers the calls of backend.ModSeqs, and keeps the last request.
type fakeModSeqs struct {
	fakeWriter
	enabled  *backend.Changes
	vanished *backend.ExpungedResult
}

func newFakeModSeqs() *fakeModSeqs {
	return &fakeModSeqs{fakeWriter: fakeWriter{fakeStorage: fakeStorage{info: backend.Info{Capabilities: []string{backend.CapModSeqs}}}}}
}

func (f *fakeModSeqs) EnableModSeqs(ctx context.Context, m backend.MailboxRef, id [16]byte, since []byte) (*backend.Changes, error) {
	f.note(ctx, m, id, since)
	return f.enabled, f.err
}

func (f *fakeModSeqs) Expunged(ctx context.Context, m backend.MailboxRef, id [16]byte, modseq uint64) (*backend.ExpungedResult, error) {
	f.note(ctx, m, id, modseq)
	return f.vanished, f.err
}

// everyRange returns n ranges.
func everyRange(n int) (rs []backend.UIDRange) {
	for i := range uint32(n) {
		rs = append(rs, backend.UIDRange{First: 3*i + 1, Last: 3*i + 1 + i%2})
	}
	return rs
}

func TestModSeqCalls(t *testing.T) {
	f := newFakeModSeqs()
	s := connectStorage(t, f, ClientOptions{})
	for name, changed := range testChanges() {
		t.Run(name, func(t *testing.T) {
			f.enabled = changed
			got, err := s.EnableModSeqs(t.Context(), testRef, [16]byte{7}, []byte("here"))
			wantResult(t, changed, got, err)
			f.sawRequest(t, testRef, [16]byte{7}, []byte("here"))
		})
	}
	for _, want := range []*backend.ExpungedResult{{}, {Known: true}, {Known: true, UIDs: []backend.UIDRange{{First: 1<<32 - 2, Last: 1<<32 - 2}}}, {Known: true, UIDs: everyRange(100_000)}} {
		f.vanished = want
		got, err := s.Expunged(t.Context(), testRef, [16]byte{8}, 1<<60)
		wantResult(t, want, got, err)
		if d := cmp.Diff([]any{testRef, [16]byte{8}, uint64(1 << 60)}, f.requests); d != "" {
			t.Errorf("request differs: %s", d)
		}
	}
	f.err = backend.Errorf(backend.KindNotFound, "there is none")
	if _, err := s.Expunged(t.Context(), testRef, [16]byte{}, 1); err == nil || backend.KindOf(err) != backend.KindNotFound {
		t.Errorf("Expunged: %v, want the plugin's error", err)
	}
	if _, err := s.EnableModSeqs(t.Context(), testRef, [16]byte{}, nil); err == nil || backend.KindOf(err) != backend.KindNotFound {
		t.Errorf("EnableModSeqs: %v, want the plugin's error", err)
	}
}

func TestModSeqsNeedTheCapability(t *testing.T) {
	silent := newFakeModSeqs()
	silent.info.Capabilities = nil
	s := connectStorage(t, silent, ClientOptions{})
	_, err1 := s.Expunged(t.Context(), testRef, [16]byte{}, 1)
	_, err2 := s.EnableModSeqs(t.Context(), testRef, [16]byte{}, nil)
	for _, err := range []error{err1, err2} {
		if err == nil || backend.KindOf(err) != backend.KindUnsupported {
			t.Errorf("%v, want KindUnsupported", err)
		}
	}
	readOnly := newFakeModSeqs()
	s = connectStorage(t, readOnly, ClientOptions{})
	s.readOnly = true // as Configure says
	if _, err := s.EnableModSeqs(t.Context(), testRef, [16]byte{}, nil); err == nil || backend.KindOf(err) != backend.KindReadOnly {
		t.Errorf("EnableModSeqs: %v, want KindReadOnly", err)
	}
	readOnly.vanished = &backend.ExpungedResult{Known: true}
	got, err := s.Expunged(t.Context(), testRef, [16]byte{}, 1)
	wantResult(t, readOnly.vanished, got, err)
}

func (l *liar) Expunged(_ *storagev1.ExpungedRequest, s grpc.ServerStreamingServer[storagev1.ExpungedResponse]) error {
	return sendEach(s, l.vanished)
}

func (l *liar) EnableModSeqs(_ *storagev1.EnableModSeqsRequest, s grpc.ServerStreamingServer[storagev1.EnableModSeqsResponse]) error {
	return sendEach(s, l.enabled)
}

func TestLiesInModSeqCalls(t *testing.T) {
	head := func(n uint32) *storagev1.ExpungedResponse {
		return &storagev1.ExpungedResponse{Header: &storagev1.ExpungedHeader{Known: true, RangeCount: n}}
	}
	ranges := func(uids ...uint32) *storagev1.ExpungedResponse {
		return &storagev1.ExpungedResponse{Ranges: uidColumn(uids...)}
	}
	for _, c := range []struct {
		rule     string
		vanished []*storagev1.ExpungedResponse
	}{
		{"no response", nil},
		{"without header", []*storagev1.ExpungedResponse{ranges(1, 1)}},
		{"ranges of what is not known", []*storagev1.ExpungedResponse{{Header: &storagev1.ExpungedHeader{RangeCount: 1}}}},
		{"exceed plugin_max_messages", []*storagev1.ExpungedResponse{head(1 << 31)}},
		{"1 ranges were announced, 0 came", []*storagev1.ExpungedResponse{head(1)}},
		{"column ranges of 16 bytes after 0 of 1 ranges", []*storagev1.ExpungedResponse{head(1), ranges(1, 1, 2, 2)}},
		{"column ranges of 4 bytes", []*storagev1.ExpungedResponse{head(1), ranges(1)}},
		{"column ranges of 0 bytes", []*storagev1.ExpungedResponse{head(1), {}}},
		{"range 0:1 after UID 0", []*storagev1.ExpungedResponse{head(1), ranges(0, 1)}},
		{"range 4:3 after UID 0", []*storagev1.ExpungedResponse{head(1), ranges(4, 3)}},
		{"range 4:9 after UID 4", []*storagev1.ExpungedResponse{head(2), ranges(2, 4), ranges(4, 9)}},
	} {
		t.Run("Expunged "+c.rule, func(t *testing.T) {
			s := (&liar{liarWrites: liarWrites{vanished: c.vanished}}).storage(t)
			_, err := s.Expunged(t.Context(), testRef, [16]byte{}, 1)
			checkLie(t, err, c.rule)
		})
	}
	for _, c := range []struct {
		rule    string
		enabled []*storagev1.EnableModSeqsResponse
	}{
		{"no response", nil},
		{"without header", []*storagev1.EnableModSeqsResponse{{}}},
		{"response without changes", []*storagev1.EnableModSeqsResponse{{Header: &storagev1.EnableModSeqsHeader{}}, {}}},
	} {
		t.Run("EnableModSeqs "+c.rule, func(t *testing.T) {
			s := (&liar{liarWrites: liarWrites{enabled: c.enabled}}).storage(t)
			_, err := s.EnableModSeqs(t.Context(), testRef, [16]byte{}, []byte("here"))
			checkLie(t, err, c.rule)
		})
	}
}

// FuzzRanges checks that whatever is taken as ranges obeys their rules.
func FuzzRanges(f *testing.F) {
	f.Add(uint32(2), uidColumn(1, 1, 3, 9))
	f.Add(uint32(1), uidColumn(5, 4))
	f.Fuzz(func(t *testing.T, count uint32, column []byte) {
		j, err := newRangesJoiner(&storagev1.ExpungedHeader{Known: true, RangeCount: count}, 1000)
		if err != nil || j.add(column) != nil || j.done() != nil {
			return
		}
		last := uint32(0)
		for _, r := range j.out.UIDs {
			if r.First <= last || r.Last < r.First {
				t.Fatalf("%v", j.out.UIDs)
			}
			last = r.Last
		}
		if len(j.out.UIDs) != int(count) {
			t.Fatalf("%d ranges, want %d", len(j.out.UIDs), count)
		}
	})
}

package pluginrpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/roostmail/roost/core/backend"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

var testRef = backend.MailboxRef{
	User:      &backend.User{Name: "jane", Fields: map[string]string{"home": "/srv/J\xfcrgen"}},
	Namespace: "main",
	Name:      "Entwürfe/2026",
}

// bigColumns returns n messages whose columns need several responses.
func bigColumns(n, words int, modSeqs bool) backend.Columns {
	c := backend.Columns{KeywordWords: words}
	for i := range n {
		c.UIDs = append(c.UIDs, uint32(3*i+1))
		c.Flags = append(c.Flags, uint8(i)&0x1f)
		for w := range words {
			c.Keywords = append(c.Keywords, uint64(i+w)&0x7)
		}
		if modSeqs {
			c.ModSeqs = append(c.ModSeqs, uint64(i+1))
		}
	}
	return c
}

// asWords compares columns by what their keywords are, not by how wide.
var asWords = cmp.Transformer("words", func(c backend.Columns) any {
	c.Keywords, c.LowKeywords = words(&c), nil
	type plain backend.Columns
	return plain(c)
})

func keywordNames(words int) []string {
	names := make([]string, 64*words)
	for i := range names {
		names[i] = fmt.Sprintf("$K%d", i)
	}
	return names
}

func testSnapshot(cols backend.Columns) *backend.Snapshot {
	return &backend.Snapshot{
		MailboxID:      [16]byte{1, 2, 3, 15: 16},
		UIDValidity:    1700000000,
		UIDNext:        1 << 31,
		FirstRecentUID: 17,
		HighestModSeq:  1 << 40,
		Keywords:       keywordNames(max(cols.KeywordWords, 1)),
		Messages:       cols,
		Position:       []byte("log 3 at 4711"),
		Watch:          5,
		WatchName:      "dovecot.index.log",
		MoreWatches:    []backend.Watch{{ID: 8}, {ID: 9, Name: "x"}},
		Damage:         []string{"m.3: offset 17: bad magic"},
	}
}

func TestOpen(t *testing.T) {
	for _, c := range []struct {
		name string
		cols backend.Columns
	}{
		{"empty", backend.Columns{}},
		{"one response", bigColumns(1000, 1, true)},
		{"many responses", bigColumns(10_000, 3, true)},
		{"without modseqs and keywords", bigColumns(30_000, 0, false)},
		{"runs", runColumns(100_000, 1_000, 7)},
		{"one run, keywords of three bytes", runColumns(50_000, 50_000, 1<<23)},
		{"keywords of eight bytes", runColumns(3_000, 2, 1<<63)},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fakeStorage{snapshot: testSnapshot(c.cols)}
			storage := connectStorage(t, f, ClientOptions{})
			got, err := storage.Open(t.Context(), testRef)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(f.snapshot, got, cmpopts.EquateEmpty(), asWords); d != "" {
				t.Errorf("snapshot differs: %s", d)
			}
			if d := cmp.Diff(f.snapshot, openPlainly(t, storage), cmpopts.EquateEmpty(), asWords); d != "" {
				t.Errorf("snapshot for a caller without compact columns differs: %s", d)
			}
			if d := cmp.Diff(testRef, f.ref); d != "" {
				t.Errorf("mailbox differs: %s", d)
			}
		})
	}
}

// openPlainly calls Open as a core does that does not know compact columns, and fails if there are any.
func openPlainly(t *testing.T, s *Storage) *backend.Snapshot {
	t.Helper()
	ref, err := mailboxToProto(testRef)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := s.storage.Open(t.Context(), &storagev1.OpenRequest{Mailbox: ref})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	j, err := s.newSnapshotJoiner("Open", resp.Header)
	if err != nil {
		t.Fatal(err)
	}
	for {
		resp, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if m := resp.Messages; len(m.UidRuns) > 0 || m.KeywordBytes > 0 {
			t.Fatalf("compact columns were not asked for: %d bytes of runs, %d bytes of keywords", len(m.UidRuns), m.KeywordBytes)
		}
		if err := j.add(resp.Messages); err != nil {
			t.Fatal(err)
		}
	}
	snap, err := j.done()
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// runColumns returns columns of n messages in runs of a length, some of which have keyword bits.
func runColumns(n, length int, keywords uint64) backend.Columns {
	c := backend.Columns{KeywordWords: 1}
	for i := range n {
		c.UIDs = append(c.UIDs, uint32(5+i+i/length*3))
		c.Flags = append(c.Flags, uint8(i)&0x1f)
		c.Keywords = append(c.Keywords, uint64(i%2)*keywords)
	}
	return c
}

func TestChanges(t *testing.T) {
	many := &backend.Changes{
		UIDNext:        1 << 31,
		FirstRecentUID: 3,
		HighestModSeq:  1 << 40,
		Keywords:       keywordNames(2),
		Updated:        bigColumns(10_000, 2, true),
		Appended:       bigColumns(15_000, 1, false),
		Position:       []byte{9},
	}
	for i := range 70_000 {
		many.Expunged = append(many.Expunged, uint32(2*i+1))
	}
	for _, c := range []struct {
		name    string
		changes *backend.Changes
	}{
		{"nothing", &backend.Changes{UIDNext: 2, HighestModSeq: 1, Position: []byte("here")}},
		{"many", many},
		{"reset", &backend.Changes{Reset: testSnapshot(bigColumns(10_000, 1, true))}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fakeStorage{changes: c.changes}
			got, err := connectStorage(t, f, ClientOptions{}).Changes(t.Context(), testRef, []byte("here"))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.changes, got, cmpopts.EquateEmpty(), asWords); d != "" {
				t.Errorf("changes differ: %s", d)
			}
			if string(f.since) != "here" {
				t.Errorf("position %q reached the plugin", f.since)
			}
		})
	}
}

func TestListMailboxes(t *testing.T) {
	f := &fakeStorage{}
	for i := range 20_000 {
		f.list = append(f.list, backend.MailboxInfo{Name: fmt.Sprintf("box/%06d", i), NoSelect: i%2 == 0, NonExistent: i%3 == 0, NoInferiors: i%5 == 0, Subscribed: i%7 == 0})
	}
	f.list[3].SpecialUse, f.list[4].SpecialUse, f.list[19_999].SpecialUse = `\Sent`, `\Drafts`, `\Junk`
	f.list[5].Name += "\x00x"
	storage := connectStorage(t, f, ClientOptions{})
	got, err := storage.ListMailboxes(t.Context(), testRef.User, "")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(f.list, got); d != "" {
		t.Errorf("list differs: %s", d)
	}
	// Of who does not say that it understands columns, and who does.
	for _, columns := range []bool{false, true} {
		stream, err := storage.storage.ListMailboxes(t.Context(), &storagev1.ListMailboxesRequest{User: userToProto(testRef.User), Columns: columns})
		if err != nil {
			t.Fatal(err)
		}
		j, used := mailboxJoiner{s: storage}, false
		for {
			resp, err := stream.Recv()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			used = used || resp.Names != ""
			if err := j.add(resp); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(f.list, j.list); d != "" || used != columns {
			t.Errorf("columns %v: used %v, list differs: %s", columns, used, d)
		}
	}
	f.list = nil
	if got, err := storage.ListMailboxes(t.Context(), testRef.User, ""); err != nil || len(got) != 0 {
		t.Errorf("empty list: %v, %v", got, err)
	}
}

func TestListMailboxesStopsAtTheLimit(t *testing.T) {
	f := &fakeStorage{list: []backend.MailboxInfo{{Name: "a"}, {Name: "b"}, {Name: "c"}}}
	_, err := connectStorage(t, f, ClientOptions{Limits: Limits{MaxMailboxes: 2}}).ListMailboxes(t.Context(), testRef.User, "")
	if err == nil || backend.KindOf(err) != backend.KindLimit || !strings.Contains(err.Error(), "plugin_max_mailboxes") {
		t.Errorf("got %v, want an error of KindLimit that names plugin_max_mailboxes", err)
	}
}

func TestOpenStopsAtTheLimit(t *testing.T) {
	f := &fakeStorage{snapshot: testSnapshot(bigColumns(11, 0, false))}
	_, err := connectStorage(t, f, ClientOptions{Limits: Limits{MaxMessages: 10}}).Open(t.Context(), testRef)
	if err == nil || backend.KindOf(err) != backend.KindLimit || !strings.Contains(err.Error(), "plugin_max_messages") {
		t.Errorf("got %v, want an error of KindLimit that names plugin_max_messages", err)
	}
}

func TestStatusSplitsLongLists(t *testing.T) {
	calls := 0
	f := &fakeStorage{status: func(names []string) ([]backend.MailboxStatus, error) {
		calls++
		if len(names) > maxStatusNames {
			t.Errorf("call with %d names", len(names))
		}
		out := make([]backend.MailboxStatus, len(names))
		for i, name := range names {
			out[i] = backend.MailboxStatus{Name: name, Messages: uint32(len(name)), UIDNext: 7, Size: 1 << 50, MailboxID: [16]byte{byte(i)},
				Watches: []backend.Watch{{ID: int32(i) + 1, Name: "log"}, {ID: 7}}}
			if i == 3 {
				out[i] = backend.MailboxStatus{Name: name, Err: &backend.Error{Kind: backend.KindCorrupted, Message: "m", Detail: "d"}}
			}
		}
		return out, nil
	}}
	var names []string
	for i := range 2500 {
		names = append(names, strings.Repeat("x", i%9+1))
	}
	got, err := connectStorage(t, f, ClientOptions{}).Status(t.Context(), testRef.User, "", names, backend.StatusMessages)
	if err != nil {
		t.Fatal(err)
	}
	if calls != 3 || len(got) != len(names) {
		t.Errorf("%d calls with %d elements, want 3 calls with %d", calls, len(got), len(names))
	}
	for i, m := range got {
		if m.Name != names[i] {
			t.Fatalf("element %d is %q, want %q", i, m.Name, names[i])
		}
		if want := i%maxStatusNames == 3; (m.Err != nil) != want || (m.Messages == uint32(len(m.Name))) == want || (len(m.Watches) == 2 && m.Watches[0] == backend.Watch{ID: int32(i%maxStatusNames) + 1, Name: "log"} && m.Watches[1].ID == 7) == want {
			t.Fatalf("element %d is %+v", i, m)
		}
	}
	if d := cmp.Diff(&backend.Error{Kind: backend.KindCorrupted, Message: "m", Detail: "d"}, got[3].Err); d != "" {
		t.Errorf("error differs: %s", d)
	}
}

// fetchCases are what a plugin may send for one message.
func fetchCases() []collected {
	body := bytes.Repeat([]byte("0123456789abcdef"), 50_000)
	cases := []collected{
		{FetchedMessage: backend.FetchedMessage{UID: 1, Size: 1 << 40, InternalDate: -1, SaveDate: 7, GUID: "guid", HeaderFields: []byte("A: b\r\n"), BodyStructure: []byte(`"TEXT" "PLAIN"`)}},
		{FetchedMessage: backend.FetchedMessage{UID: 2}},
		{FetchedMessage: backend.FetchedMessage{UID: 3, Preview: []byte("text")}},
		{FetchedMessage: backend.FetchedMessage{UID: 4, Preview: []byte{}, BodySize: 2, BodyIsMessage: true}, Body: []byte("\r\n")},
		{FetchedMessage: backend.FetchedMessage{UID: 5, Err: &backend.Error{Kind: backend.KindCorrupted, Message: "m", Detail: "d"}}},
		{FetchedMessage: backend.FetchedMessage{UID: 6, BodySize: 3, BodyIsMessage: true}, Body: []byte("abc")},
		{FetchedMessage: backend.FetchedMessage{UID: 7, BodySize: uint64(len(body)), GUID: "x"}, Body: body},
		{FetchedMessage: backend.FetchedMessage{UID: 8, Err: backend.Errorf(backend.KindExpunged, "gone")}},
		{FetchedMessage: backend.FetchedMessage{UID: 9, HeaderFields: bytes.Repeat([]byte("Long: header\r\n"), 60_000)}},
		{FetchedMessage: backend.FetchedMessage{UID: 10, BodySize: frameBytes}, Body: body[:frameBytes]},
	}
	for i := range 3000 {
		c := collected{FetchedMessage: backend.FetchedMessage{UID: uint32(100 + i), Size: uint64(i), GUID: fmt.Sprintf("%032x", i), HeaderFields: body[: i%700 : i%700]}}
		if i%10 == 0 {
			c.Body = body[i : i+i%5000]
			c.BodySize = uint64(len(c.Body))
		}
		cases = append(cases, c)
	}
	return cases
}

// sendAll is a plugin's Fetch that sends the given messages, bodies in pieces.
func sendAll(cases []collected) func(context.Context, *backend.FetchRequest, backend.FetchSink) error {
	return func(_ context.Context, _ *backend.FetchRequest, sink backend.FetchSink) error {
		for i := range cases {
			if err := sink.Message(&cases[i].FetchedMessage); err != nil {
				return err
			}
			for p := cases[i].Body; len(p) > 0; {
				n := min(len(p), 100_000)
				if err := sink.Body(p[:n]); err != nil {
					return err
				}
				p = p[n:]
			}
		}
		return nil
	}
}

func uidsOf(cases []collected) (uids []uint32) {
	for _, c := range cases {
		uids = append(uids, c.UID)
	}
	return uids
}

func TestFetch(t *testing.T) {
	cases := fetchCases()
	var sink collector
	err := connectStorage(t, &fakeStorage{fetch: sendAll(cases)}, ClientOptions{}).
		Fetch(t.Context(), &backend.FetchRequest{Mailbox: testRef, UIDs: uidsOf(cases)}, &sink)
	if err != nil {
		t.Fatal(err)
	}
	checkFetched(t, cases, sink.got)
}

// checkFetched compares messages; the bodies apart, because cmp is slow on them.
func checkFetched(t *testing.T, want, got []collected) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d messages came, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if !bytes.Equal(g.Body, w.Body) || !bytes.Equal(g.HeaderFields, w.HeaderFields) || !bytes.Equal(g.BodyStructure, w.BodyStructure) {
			t.Fatalf("UID %d: header, structure or body differ: %d, %d and %d bytes, want %d, %d and %d", w.UID,
				len(g.HeaderFields), len(g.BodyStructure), len(g.Body), len(w.HeaderFields), len(w.BodyStructure), len(w.Body))
		}
		g.HeaderFields, w.HeaderFields, g.BodyStructure, w.BodyStructure = nil, nil, nil, nil
		if reflect.DeepEqual(g.FetchedMessage, w.FetchedMessage) {
			continue
		}
		if d := cmp.Diff(w.FetchedMessage, g.FetchedMessage, cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("UID %d differs: %s", w.UID, d)
		}
	}
}

func TestFetchCarriesTheRequest(t *testing.T) {
	want := &backend.FetchRequest{
		Mailbox: testRef, UIDs: []uint32{1, 7, 1 << 31}, Items: backend.FetchSize | backend.FetchBody,
		HeaderFields: []string{"From", "X-Spam"}, Offset: 1 << 40, Length: 17,
	}
	var got *backend.FetchRequest
	f := &fakeStorage{fetch: func(_ context.Context, r *backend.FetchRequest, _ backend.FetchSink) error {
		got = r
		return nil
	}}
	if err := connectStorage(t, f, ClientOptions{}).Fetch(t.Context(), want, &collector{}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("request differs: %s", d)
	}
}

func TestFetchSplitsLongRequests(t *testing.T) {
	uids := make([]uint32, 2*maxFetchUIDs+1)
	for i := range uids {
		uids[i] = uint32(i + 1)
	}
	calls := 0
	f := &fakeStorage{fetch: func(_ context.Context, r *backend.FetchRequest, sink backend.FetchSink) error {
		calls++
		return sink.Message(&backend.FetchedMessage{UID: r.UIDs[len(r.UIDs)-1]})
	}}
	var sink collector
	if err := connectStorage(t, f, ClientOptions{}).Fetch(t.Context(), &backend.FetchRequest{UIDs: uids}, &sink); err != nil {
		t.Fatal(err)
	}
	if want := []uint32{maxFetchUIDs, 2 * maxFetchUIDs, 2*maxFetchUIDs + 1}; calls != 3 || !cmp.Equal(want, uidsOf(sink.got)) {
		t.Errorf("%d calls, messages %v, want 3 calls and %v", calls, uidsOf(sink.got), want)
	}
}

func TestFetchReturnsTheErrorOfTheSink(t *testing.T) {
	cases := fetchCases()
	full := errors.New("client is gone")
	pluginSaw := make(chan error, 1)
	send := sendAll(cases)
	f := &fakeStorage{fetch: func(ctx context.Context, r *backend.FetchRequest, sink backend.FetchSink) error {
		var err error
		for err == nil { // until the cancellation arrives here
			err = send(ctx, r, sink)
			if err == nil {
				err = ctx.Err()
			}
		}
		pluginSaw <- err
		return err
	}}
	sink := &collector{fail: full}
	err := connectStorage(t, f, ClientOptions{}).Fetch(t.Context(), &backend.FetchRequest{UIDs: uidsOf(cases)}, sink)
	if err != full || len(sink.got) != 1 {
		t.Errorf("got %v after %d messages, want the sink's error after 1", err, len(sink.got))
	}
	if err := <-pluginSaw; err == nil {
		t.Error("the plugin's Fetch went on")
	}
}

func TestFetchRefusesTooMuchHeader(t *testing.T) {
	cases := []collected{{FetchedMessage: backend.FetchedMessage{UID: 1, HeaderFields: make([]byte, MaxMessage)}}, {FetchedMessage: backend.FetchedMessage{UID: 2, Size: 9}}}
	var sink collector
	err := connectStorage(t, &fakeStorage{fetch: sendAll(cases)}, ClientOptions{}).Fetch(t.Context(), &backend.FetchRequest{UIDs: []uint32{1, 2}}, &sink)
	if err != nil || len(sink.got) != 2 {
		t.Fatalf("got %v and %d messages, want 2", err, len(sink.got))
	}
	if e := sink.got[0].Err; e == nil || e.Kind != backend.KindLimit {
		t.Errorf("the large message has error %v, want KindLimit", e)
	}
	if sink.got[1].Size != 9 {
		t.Errorf("the other message is %+v", sink.got[1])
	}
}

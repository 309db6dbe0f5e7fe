package imap

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imapwire"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/mailbox/mailboxtest"
	"github.com/roostmail/roost/core/message"
)

// buffer is an output that keeps everything.
type buffer struct {
	out, all []byte
	err      error
}

func (b *buffer) Buffer() *[]byte { return &b.out }
func (b *buffer) Commit() error {
	b.all = append(b.all, b.out...)
	b.out = b.out[:0]
	return b.err
}
func (b *buffer) WritePart(p []byte) { b.Commit(); b.all = append(b.all, p...) }
func (b *buffer) Err() error         { return b.err }
func (b *buffer) Breathe()           {}

// flaky is a storage that sends bodies in small pieces, answers BODYSTRUCTURE from
// a cache for every second message, and goes down after some calls of the sink.
type flaky struct {
	backend.Storage
	piece int                    // bytes of a body sent at once
	downs []int                  // calls of the sink after which it goes down, one for each Fetch
	calls []backend.FetchRequest // all that it was asked for
	err   error                  // what it says then
}

func (s *flaky) Fetch(ctx context.Context, r *backend.FetchRequest, sink backend.FetchSink) error {
	s.calls = append(s.calls, *r)
	f := &flakySink{FetchSink: sink, s: s, r: r, left: -1}
	if len(s.downs) > 0 {
		f.left, s.downs = s.downs[0], s.downs[1:]
	}
	return s.Storage.Fetch(ctx, r, f)
}

type flakySink struct {
	backend.FetchSink
	s    *flaky
	r    *backend.FetchRequest
	left int
	drop bool // the body of this message, which was answered from the cache
}

func (f *flakySink) down() error {
	if f.left == 0 {
		return f.s.err
	}
	f.left--
	return nil
}

func (f *flakySink) Message(m *backend.FetchedMessage) error {
	if err := f.down(); err != nil {
		return err
	}
	f.drop = false
	if m.Err == nil && f.r.Items&backend.FetchBodyStructure != 0 && m.UID%2 == 0 {
		var w bodies
		all := &backend.FetchRequest{Mailbox: f.r.Mailbox, UIDs: []uint32{m.UID}, Items: backend.FetchBody}
		f.s.Storage.Fetch(context.Background(), all, &w)
		m.BodyStructure = message.Parse(w.b, message.Limits{}).AppendBodyStructure(nil, true)
		if f.r.Items&(backend.FetchBody|backend.FetchHeader) == 0 {
			m.BodySize, m.BodyIsMessage, f.drop = 0, false, true
		}
	}
	return f.FetchSink.Message(m)
}

func (f *flakySink) Body(p []byte) error {
	for len(p) > 0 && !f.drop {
		if err := f.down(); err != nil {
			return err
		}
		n := min(len(p), f.s.piece)
		if err := f.FetchSink.Body(bytes.Clone(p[:n])); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// bodies is a sink for one body.
type bodies struct{ b []byte }

func (w *bodies) Message(*backend.FetchedMessage) error { return nil }
func (w *bodies) Body(p []byte) error                   { w.b = append(w.b, p...); return nil }

// testMails are the messages of the tests below.
var testMails = []string{
	"Subject: one\r\nFrom: a@b\r\n\r\nbody one\r\n",
	"Subject: two\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ninner\r\n--b--\r\n",
	"Subject: no body\r\n",
	"\r\nno header\r\n",
	"",
	"Subject: nul\r\nX-A: \x00\r\n\r\na\x00b\r\n",
	"X-Long: " + strings.Repeat("long\r\n ", 700) + "\r\n\r\n" + strings.Repeat("a line of text\r\n", 700),
}

// fetchTest is a mailbox to fetch from.
type fetchTest struct {
	srv   *Server
	store *flaky
	reg   *mailbox.Registry
	box   *mailboxtest.Mailbox
	view  *mailbox.View
	ref   *backend.MailboxRef
	mails []string
}

func newFetchTest(t testing.TB, mails []string) *fetchTest {
	store := mailboxtest.New(false)
	box := store.Create("u", "", "INBOX")
	for i, m := range mails {
		box.Append(m, uint8(i)&backend.FlagSeen, []string{"$Work"}[:i%2]...)
	}
	ft := &fetchTest{store: &flaky{Storage: store, piece: 1 << 20}, box: box, mails: mails}
	cfg := DefaultConfig()
	cfg.Fetch.RetryDelay = time.Microsecond
	ft.srv = &Server{cfg: cfg, storage: ft.store, log: slog.New(slog.DiscardHandler)}
	reg, err := mailbox.NewRegistry(cfg.Mailboxes, store, func(uint32) {}, ft.srv.log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reg.Close)
	ft.ref = &backend.MailboxRef{User: &backend.User{Name: "u"}, Name: "INBOX"}
	ft.reg = reg
	ft.reload(t)
	return ft
}

// reload takes the newest view.
func (ft *fetchTest) reload(t testing.TB) {
	t.Helper()
	_, v, err := ft.reg.Open(context.Background(), *ft.ref)
	if err != nil {
		t.Fatal(err)
	}
	ft.view = v
}

// run executes "set items [modifiers]" as FETCH or UID FETCH does.
func (ft *fetchTest) run(t testing.TB, uid bool, cmd string) (string, *fetch, error) {
	t.Helper()
	d := imapwire.NewDecoder([]byte(cmd+"\r\n"), imapwire.DefaultLimits)
	set := d.NumSet()
	args, err := parseFetch(&d, uid, true)
	if err != nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	ranges, _ := ft.view.Seqs(set)
	if uid {
		ranges = ft.view.UIDs(set)
	}
	out := &buffer{}
	f := ft.srv.newFetch(context.Background(), ft.view, ft.ref, out)
	err = f.execute(args, ranges)
	out.Commit()
	return string(out.all), f, err
}

// want returns what the command must answer, made from whole messages.
func (ft *fetchTest) want(t testing.TB, uid bool, cmd string) string {
	t.Helper()
	d := imapwire.NewDecoder([]byte(cmd+"\r\n"), imapwire.DefaultLimits)
	set := d.NumSet()
	args, err := parseFetch(&d, uid, true)
	if err != nil {
		t.Fatal(err)
	}
	ranges, _ := ft.view.Seqs(set)
	f := &fetch{srv: ft.srv, view: ft.view, recent: ft.view.Unclaimed(), items: args.items}
	var b []byte
	for m := range ft.view.Messages(ranges) {
		raw := []byte(ft.mails[m.UID-1])
		parsed := message.Parse(raw, message.Limits{})
		header, _ := message.SplitHeader(raw)
		b = f.appendFirst(b, m, &fetchMeta{size: uint64(len(raw)), date: 1e9 + int64(m.UID)})
		for i := range args.items {
			it := &args.items[i]
			if it.first() {
				continue
			}
			if i > 0 {
				b = append(b, ' ')
			}
			b = append(b, it.name...)
			switch it.kind {
			case fetchEnvelope:
				b = append(message.AppendEnvelope(append(b, '('), header), ')')
			case fetchBody:
				b = append(parsed.AppendBodyStructure(append(b, '('), false), ')')
			case fetchBodyStructure:
				b = append(parsed.AppendBodyStructure(append(b, '('), true), ')')
			default:
				s, _ := parsed.Section(&it.section)
				b = imapwire.AppendLiteral(b, it.part(s))
			}
		}
		b = append(b, ")\r\n"...)
	}
	return string(b)
}

var fetchCommands = []string{
	"1:* FLAGS", "1:* (UID FLAGS MODSEQ)", "2:3,5 FAST", "1:* ALL", "1:* FULL", "1:* (INTERNALDATE RFC822.SIZE)",
	"1:* ENVELOPE", "1:* BODY", "1:* BODYSTRUCTURE", "1:* (BODYSTRUCTURE BODY ENVELOPE UID)",
	"1:* BODY[]", "1:* BODY.PEEK[]", "1:* RFC822", "1:* RFC822.HEADER", "1:* RFC822.TEXT", "1:* BODY[HEADER]", "1:* BODY[TEXT]",
	"1:* BODY[]<3.10>", "1:* BODY[]<0.100000>", "1:* BODY[]<100000.5>", "1:* BODY[TEXT]<2.4>", "1:* BODY[HEADER]<5.3>", "1:* BODY[]<7>",
	"1:* BODY[HEADER.FIELDS (Subject x-long)]", "1:* BODY[HEADER.FIELDS.NOT (Subject)]", "1:* BODY[HEADER.FIELDS (\"Subject\" From)]<2.8>",
	"1:* BODY[1]", "1:* BODY[2]", "1:* BODY[2.1.MIME]", "1:* (BODY[1.MIME] BODY[2.HEADER] BODY[2.TEXT] BODY[2.HEADER.FIELDS (Subject)])",
	"1:* (BODY[HEADER] BODY[TEXT])", "1:* (RFC822.HEADER RFC822.TEXT)", "1:* (BODY[TEXT] BODY[HEADER])", "1:* (BODY[] BODY[TEXT])", "1:* (BODY[] BODY[])",
	"1:* (ENVELOPE BODY[])", "1:* (BODY[] ENVELOPE FLAGS)", "1:* (BODY[]<2.9> ENVELOPE)", "1:* (ENVELOPE BODY[]<2.9> BODYSTRUCTURE)",
	"1:* (ENVELOPE BODY[HEADER.FIELDS (To)] BODYSTRUCTURE BODY[TEXT]<1.5>)", "1:* (BODYSTRUCTURE BODY[HEADER])", "1:* (BODYSTRUCTURE BODY[])", "1:* (BODY[1] BODY[] BODYSTRUCTURE)",
	"1:* (BODY[HEADER.FIELDS.NOT (X-Long)] BODY[HEADER.FIELDS (X-Long)] RFC822.SIZE)", "1:* (BODY[TEXT] BODYSTRUCTURE)",
}

func TestFetchAnswersFromAnyPieces(t *testing.T) {
	ft := newFetchTest(t, testMails)
	for _, cmd := range fetchCommands {
		want := ft.want(t, false, cmd)
		for _, ft.store.piece = range []int{1, 3, 1000, 1 << 20} {
			ft.store.calls = nil
			got, _, err := ft.run(t, false, cmd)
			if err != nil || got != want {
				t.Errorf("%s in pieces of %d: %v\n got %q\nwant %q", cmd, ft.store.piece, err, cut(got, want), cut(want, got))
			}
			if len(ft.store.calls) > 1 {
				t.Errorf("%s: %d calls of storage", cmd, len(ft.store.calls))
			}
		}
	}
}

// cut returns what follows the common start of two texts.
func cut(s, other string) string {
	i := 0
	for i < len(s) && i < len(other) && s[i] == other[i] {
		i++
	}
	return s[max(0, i-60):min(len(s), i+200)]
}

func TestFetchGoesOnWhenStorageWasDown(t *testing.T) {
	ft := newFetchTest(t, testMails)
	ft.store.err = backend.Errorf(backend.KindUnavailable, "down")
	rnd := rand.New(rand.NewSource(1))
	for _, cmd := range fetchCommands {
		want := ft.want(t, false, cmd)
		for round := range 60 {
			ft.store.piece = []int{7, 100, 4000}[round%3]
			downs := []int{rnd.Intn(12), rnd.Intn(12), rnd.Intn(40)}
			ft.store.downs = downs
			got, _, err := ft.run(t, false, cmd)
			if err != nil || got != want {
				t.Fatalf("%s in pieces of %d, down after %d calls: %v\n got %q\nwant %q", cmd, ft.store.piece, downs, err, cut(got, want), cut(want, got))
			}
		}
	}
}

func TestFetchEndsWhenStorageStaysDown(t *testing.T) {
	ft := newFetchTest(t, testMails)
	ft.store.piece = 4
	for _, tc := range []struct {
		cmd    string
		after  int
		broken bool
	}{
		{"1:* BODY[]", 0, false},
		{"1:* BODY[]", 1, true},      // after Message, which begins the literal
		{"1:* BODY[TEXT]", 4, false}, // in the header
		{"1:* ENVELOPE", 2, false},
		{"1:* BODY[1]", 3, false}, // nothing is written before the message is complete
	} {
		ft.store.err, ft.store.downs = backend.Errorf(backend.KindUnavailable, "down"), []int{tc.after, 0, 0, 0, 0, 0, 0, 0}
		ft.store.calls = nil
		_, f, err := ft.run(t, false, tc.cmd)
		if err == nil || backend.KindOf(err) != backend.KindUnavailable || f.broken != tc.broken {
			t.Errorf("%s after %d: %v, broken %v", tc.cmd, tc.after, err, f.broken)
		}
		if len(ft.store.calls) != 1+ft.srv.cfg.Fetch.Retries {
			t.Errorf("%s: %d calls", tc.cmd, len(ft.store.calls))
		}
	}
}

func TestFetchDoesNotRepeatOtherErrors(t *testing.T) {
	ft := newFetchTest(t, testMails)
	ft.store.err, ft.store.downs = backend.Errorf(backend.KindInternal, "bug"), []int{2}
	_, f, err := ft.run(t, false, "1:* BODY[]")
	if err == nil || backend.KindOf(err) != backend.KindInternal || len(ft.store.calls) != 1 || f.broken {
		t.Errorf("%v after %d calls, broken %v", err, len(ft.store.calls), f.broken)
	}
}

func TestFetchLeavesOutWhatCannotBeRead(t *testing.T) {
	ft := newFetchTest(t, testMails)
	ft.box.Damage(2, &backend.Error{Kind: backend.KindCorrupted, Detail: "m.1 offset 7"})
	got, _, err := ft.run(t, true, "1:3 BODY[HEADER]")
	want := "* 1 FETCH (UID 1 BODY[HEADER] {27}\r\nSubject: one\r\nFrom: a@b\r\n\r\n)\r\n* 3 FETCH (UID 3 BODY[HEADER] {18}\r\nSubject: no body\r\n)\r\n"
	if got != want || responseOf(err).code != "CORRUPTION" {
		t.Errorf("%v\n got %q\nwant %q", err, got, want)
	}
	ft.box.Damage(2, backend.Errorf(backend.KindExpunged, "gone"))
	ft.box.Expunge(3) // not known to the view
	got, _, err = ft.run(t, true, "1:3 RFC822.SIZE")
	if want = "* 1 FETCH (UID 1 RFC822.SIZE 37)\r\n"; got != want || responseOf(err).code != "EXPUNGEISSUED" {
		t.Errorf("%v\n got %q\nwant %q", err, got, want)
	}
}

func TestFetchRefusesToHoldTooMuch(t *testing.T) {
	ft := newFetchTest(t, testMails)
	ft.srv.cfg.Fetch.Buffer = 2000
	for _, cmd := range []string{"7 BODY[1]", "7 (BODY[] BODY[TEXT])", "7 BODY[TEXT]", "7 BODYSTRUCTURE"} {
		got, _, err := ft.run(t, false, "1,"+cmd)
		if r := responseOf(err); got == "" || strings.Contains(got, "* 7 ") || r.code != "LIMIT" || !strings.Contains(r.text, "[limits] fetch_buffer") {
			t.Errorf("%s: %v\n%.100q", cmd, err, got)
		}
	}
	for _, cmd := range []string{"7 BODY[]", "7 BODY[]<100.5000>", "7 (FLAGS BODY[])"} {
		if got, _, err := ft.run(t, false, cmd); err != nil || got != ft.want(t, false, cmd) {
			t.Errorf("%s: %v", cmd, err)
		}
	}
}

func TestFetchChangedSince(t *testing.T) {
	ft := newFetchTest(t, testMails[:3])
	m, _ := ft.view.Message(2)
	got, _, err := ft.run(t, true, fmt.Sprintf("1:* FLAGS (CHANGEDSINCE %d)", m.ModSeq))
	if want := "* 3 FETCH (UID 3 FLAGS (\\Recent) MODSEQ (4))\r\n"; err != nil || got != want {
		t.Errorf("%v\n got %q\nwant %q", err, got, want)
	}
	got, _, err = ft.run(t, false, fmt.Sprintf("1:* RFC822.SIZE (CHANGEDSINCE %d)", m.ModSeq))
	if want := "* 3 FETCH (RFC822.SIZE 18 MODSEQ (4))\r\n"; err != nil || got != want {
		t.Errorf("%v\n got %q\nwant %q", err, got, want)
	}
}

func TestFetchAsksForNoMoreThanItNeeds(t *testing.T) {
	ft := newFetchTest(t, testMails[:2])
	for _, tc := range []struct {
		cmd    string
		items  backend.FetchItems
		fields int
		offset uint64
		length uint64
	}{
		{"1 ENVELOPE", 0, 10, 0, 0},
		{"1 (ENVELOPE BODY[HEADER.FIELDS (To X-A)])", 0, 11, 0, 0},
		{"1 (ENVELOPE BODY[HEADER])", backend.FetchHeader, 0, 0, 0},
		{"1 (ENVELOPE BODY[]<5.7>)", backend.FetchBody, 10, 5, 7},
		{"1 BODY[]<5.7>", backend.FetchBody, 0, 5, 7},
		{"1 BODY[]<5>", backend.FetchBody, 0, 5, 0},
		{"1 (BODY[]<5.7> BODY[HEADER])", backend.FetchBody, 0, 0, 0},
		{"1 (BODYSTRUCTURE RFC822.SIZE)", backend.FetchBodyStructure | backend.FetchSize, 0, 0, 0},
		{"1 (INTERNALDATE BODY[1])", backend.FetchBody | backend.FetchInternalDate, 0, 0, 0},
	} {
		ft.store.calls = nil
		if _, _, err := ft.run(t, false, tc.cmd); err != nil {
			t.Fatal(err)
		}
		if c := ft.store.calls[0]; c.Items != tc.items || len(c.HeaderFields) != tc.fields || c.Offset != tc.offset || c.Length != tc.length {
			t.Errorf("%s: %+v", tc.cmd, c)
		}
	}
	ft.store.calls = nil
	if ft.run(t, true, "1 FLAGS"); len(ft.store.calls) > 0 {
		t.Errorf("FLAGS: %+v", ft.store.calls)
	}
}

func TestFetchSyntax(t *testing.T) {
	for _, cmd := range []string{
		"1", "1 ", "1 ()", "1 FOO", "1 (ALL)", "1 (FLAGS", "1 FLAGS)", "1 BODY[", "1 BODY[0]", "1 BODY[1.]", "1 BODY[1.2", "1 BODY[1TEXT]", "1 BODY[MIME]", "1 BODY[FOO]", "1 BODY[1..2]",
		"1 BODY[HEADER.FIELDS]", "1 BODY[HEADER.FIELDS ()]", "1 BODY[HEADER.FIELDS (a) ]", "1 BODY[HEADER.FIELDS (a]", "1 BODY[]<", "1 BODY[]<1.>", "1 BODY[]<1.2", "1 BODY[]<-1.2>", "1 BODY[]<1.99999999999999999999>",
		"1 BODY.FOO[]", "1 BODY.PEEK", "1 ENVELOPE[]", "1 FLAGS ()x", "1 FLAGS (FOO)", "1 FLAGS (CHANGEDSINCE)", "1 FLAGS (CHANGEDSINCE x)", "1 FLAGS (VANISHED)", "1 FLAGS FLAGS", "1 RFC822.FOO", "1 BODY[4294967296]",
	} {
		d := imapwire.NewDecoder([]byte(cmd+"\r\n"), imapwire.DefaultLimits)
		d.NumSet()
		if a, err := parseFetch(&d, false, true); err == nil {
			t.Errorf("%s: %+v", cmd, a)
		}
	}
}

func BenchmarkFetchFlags(b *testing.B) {
	const n = 100000
	ft := newFetchTest(b, make([]string, n))
	d := imapwire.NewDecoder([]byte(" (UID FLAGS)\r\n"), imapwire.DefaultLimits)
	args, err := parseFetch(&d, false, true)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		f := ft.srv.newFetch(context.Background(), ft.view, ft.ref, &discard{})
		if err := f.execute(args, ft.view.All()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "messages/s")
}

// discard is an output that forgets.
type discard struct{ out []byte }

func (d *discard) Buffer() *[]byte  { return &d.out }
func (d *discard) Commit() error    { d.out = d.out[:0]; return nil }
func (d *discard) WritePart([]byte) {}
func (d *discard) Err() error       { return nil }
func (d *discard) Breathe()         {}

// columnStore sends the same message again and again.
type columnStore struct {
	backend.Storage
	m backend.FetchedMessage
}

func (s *columnStore) Fetch(_ context.Context, r *backend.FetchRequest, sink backend.FetchSink) error {
	for _, uid := range r.UIDs {
		m := s.m
		m.UID = uid
		if err := sink.Message(&m); err != nil {
			return err
		}
	}
	return nil
}

func BenchmarkFetchEnvelope(b *testing.B) {
	const n = 100000
	ft := newFetchTest(b, make([]string, n))
	ft.srv.storage = &columnStore{m: backend.FetchedMessage{HeaderFields: []byte("Date: Thu, 15 Feb 2024 09:12:33 +0100\r\nFrom: J M <j.m@mail.example.org>\r\n" +
		"To: \"Rcpt, One\" <one@example.org>, two@example.org\r\nSubject: the quarterly report\r\nMessage-ID: <20240215081233.12345@mail.example.org>\r\n")}}
	d := imapwire.NewDecoder([]byte(" (UID ENVELOPE)\r\n"), imapwire.DefaultLimits)
	args, err := parseFetch(&d, false, true)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		f := ft.srv.newFetch(context.Background(), ft.view, ft.ref, &discard{})
		if err := f.execute(args, ft.view.All()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "messages/s")
}

package plugintest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/roostmail/roost/core/backend"
)

// fetched is one message with its body.
type fetched struct {
	backend.FetchedMessage
	body []byte
}

// collector is a sink that keeps everything.
type collector struct {
	got []fetched
	// onMessage is called for each message after it was kept, and may fail; may be nil.
	onMessage func() error
}

func (c *collector) Message(m *backend.FetchedMessage) error {
	f := fetched{FetchedMessage: *m}
	f.HeaderFields = bytes.Clone(m.HeaderFields)
	f.BodyStructure = bytes.Clone(m.BodyStructure)
	f.Preview = bytes.Clone(m.Preview)
	c.got = append(c.got, f)
	if c.onMessage != nil {
		return c.onMessage()
	}
	return nil
}

func (c *collector) Body(p []byte) error {
	last := &c.got[len(c.got)-1]
	last.body = append(last.body, p...)
	return nil
}

// fetch fetches from the fixture's mailbox and fails the test on any error.
func (s *storageSuite) fetch(t T, r backend.FetchRequest) []fetched {
	t.Helper()
	r.Mailbox = s.ref()
	var c collector
	if err := s.storage().Fetch(t.Context(), &r, &c); err != nil {
		t.Fatalf("Fetch: %v", err)
	}
	for _, m := range c.got {
		if m.Err != nil {
			t.Fatalf("UID %d: %v", m.UID, m.Err)
		}
	}
	return c.got
}

// fetchAll fetches every message, and fails the test if one is missing.
func (s *storageSuite) fetchAll(t T, r backend.FetchRequest) []fetched {
	t.Helper()
	r.UIDs = s.snapshot(t).Messages.UIDs
	got := s.fetch(t, r)
	if len(got) != len(r.UIDs) {
		t.Fatalf("%d messages of %d came", len(got), len(r.UIDs))
	}
	return got
}

func (s *storageSuite) fetchNothing(t T) {
	uids := s.snapshot(t).Messages.UIDs
	if got := s.fetch(t, backend.FetchRequest{Items: backend.FetchBody}); len(got) != 0 {
		t.Errorf("%d messages for no UID", len(got))
	}
	for _, m := range s.fetch(t, backend.FetchRequest{UIDs: uids}) {
		if m.BodySize != 0 {
			t.Errorf("UID %d: %d bytes of body that nobody asked for", m.UID, m.BodySize)
		}
	}
}

func (s *storageSuite) fetchUnknown(t T) {
	snap := s.snapshot(t)
	first := snap.Messages.UIDs[0]
	wanted := []uint32{first, uint32(snap.UIDNext), uint32(snap.UIDNext) + 1000, 1<<32 - 1}
	got := s.fetch(t, backend.FetchRequest{UIDs: wanted, Items: backend.FetchSize | backend.FetchBody})
	if len(got) != 1 || got[0].UID != first {
		t.Errorf("%d messages came, want only UID %d", len(got), first)
	}
}

func (s *storageSuite) fetchMetadata(t T) {
	for _, m := range s.fetchAll(t, backend.FetchRequest{Items: backend.FetchSize | backend.FetchInternalDate | backend.FetchGUID}) {
		if m.Size == 0 || m.InternalDate == 0 || m.GUID == "" {
			t.Errorf("UID %d: size %d, date %d, GUID %q", m.UID, m.Size, m.InternalDate, m.GUID)
		}
	}
}

// bodies returns all messages with their whole text.
func (s *storageSuite) bodies(t T) []fetched {
	t.Helper()
	return s.fetchAll(t, backend.FetchRequest{Items: backend.FetchSize | backend.FetchBody})
}

func (s *storageSuite) fetchBody(t T) {
	for _, m := range s.bodies(t) {
		if uint64(len(m.body)) != m.Size {
			t.Errorf("UID %d: %d bytes, Size says %d", m.UID, len(m.body), m.Size)
		}
		if lf, crlf := bytes.Count(m.body, []byte("\n")), bytes.Count(m.body, []byte("\r\n")); lf != crlf {
			t.Errorf("UID %d: %d line ends are not CRLF", m.UID, lf-crlf)
		}
	}
}

// header returns the header block of a message with its empty line; the whole
// message if it has none.
func header(body []byte) []byte {
	if bytes.HasPrefix(body, []byte("\r\n")) {
		return body[:2]
	}
	if i := bytes.Index(body, []byte("\r\n\r\n")); i >= 0 {
		return body[:i+4]
	}
	return body
}

func (s *storageSuite) fetchHeader(t T) {
	whole := s.bodies(t)
	for i, m := range s.fetchAll(t, backend.FetchRequest{Items: backend.FetchHeader}) {
		want := header(whole[i].body)
		if m.BodyIsMessage {
			want = whole[i].body
		}
		if !bytes.Equal(m.body, want) {
			t.Errorf("UID %d: header of %d bytes, that of the message has %d", m.UID, len(m.body), len(want))
		}
	}
}

func (s *storageSuite) fetchHeaderFields(t T) {
	whole := s.bodies(t)
	for i, m := range s.fetchAll(t, backend.FetchRequest{HeaderFields: []string{"sUBJECT", "From", "X-Plugintest-Missing"}}) {
		if want := fieldsOf(header(whole[i].body), "subject", "from"); !bytes.Equal(m.HeaderFields, want) {
			t.Errorf("UID %d: header fields %q, the message has %q", m.UID, m.HeaderFields, want)
		}
	}
}

// fieldsOf cuts the named fields, in lower case, out of a header.
func fieldsOf(header []byte, names ...string) (out []byte) {
	keep := false
	for line := range bytes.Lines(header) {
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			break
		}
		if line[0] != ' ' && line[0] != '\t' {
			name, _, _ := bytes.Cut(line, []byte(":"))
			keep = slices.Contains(names, string(bytes.ToLower(bytes.TrimSpace(name))))
		}
		if keep {
			out = append(out, line...)
		}
	}
	return out
}

func (s *storageSuite) fetchRange(t T) {
	whole := s.bodies(t)
	for _, r := range [][2]uint64{{0, 1}, {0, 100}, {1, 0}, {7, 50}, {100, 1 << 40}, {1 << 40, 10}, {1<<64 - 1, 1<<64 - 1}} {
		for i, m := range s.fetchAll(t, backend.FetchRequest{Items: backend.FetchBody, Offset: r[0], Length: r[1]}) {
			want := whole[i].body
			if !m.BodyIsMessage {
				want = want[min(r[0], uint64(len(want))):]
				if r[1] != 0 {
					want = want[:min(r[1], uint64(len(want)))]
				}
			}
			if !bytes.Equal(m.body, want) {
				t.Errorf("UID %d: offset %d, length %d: %d bytes, want %d of the message", m.UID, r[0], r[1], len(m.body), len(want))
			}
		}
	}
}

func (s *storageSuite) fetchBodyStructure(t T) {
	whole := s.bodies(t)
	for i, m := range s.fetchAll(t, backend.FetchRequest{Items: backend.FetchBodyStructure}) {
		switch {
		case len(m.BodyStructure) > 0:
			if open, end := bytes.Count(m.BodyStructure, []byte("(")), bytes.Count(m.BodyStructure, []byte(")")); open != end && !bytes.ContainsAny(m.BodyStructure, `"{`) {
				t.Errorf("UID %d: body structure %q is not balanced", m.UID, m.BodyStructure)
			}
		case !m.BodyIsMessage || !bytes.Equal(m.body, whole[i].body):
			t.Errorf("UID %d: neither a body structure nor the whole message", m.UID)
		}
	}
}

// fetchPreview asks for previews twice, alone and with the structure: a plugin that did not know them at first may know them then.
func (s *storageSuite) fetchPreview(t T) {
	if !s.storage().Info().Has(backend.CapPreview) {
		t.Skip("the plugin does not announce " + backend.CapPreview)
	}
	whole := s.bodies(t)
	known := map[uint32][]byte{}
	for _, items := range []backend.FetchItems{backend.FetchPreviewCached, backend.FetchPreview, backend.FetchPreview | backend.FetchBodyStructure, backend.FetchPreviewCached} {
		for i, m := range s.fetchAll(t, backend.FetchRequest{Items: items}) {
			switch {
			case items == backend.FetchPreviewCached && m.BodySize != 0:
				t.Errorf("UID %d: a body of %d bytes that nobody asked for", m.UID, m.BodySize)
			case items&backend.FetchPreview != 0 && m.Preview == nil && (!m.BodyIsMessage || !bytes.Equal(m.body, whole[i].body)):
				t.Errorf("UID %d: neither a preview nor the whole message", m.UID)
			case m.Preview != nil && (!utf8.Valid(m.Preview) || utf8.RuneCount(m.Preview) > 256): // RFC 8970 §3.1
				t.Errorf("UID %d: preview %q", m.UID, m.Preview)
			}
			if was, ok := known[m.UID]; ok && m.Preview != nil && !bytes.Equal(was, m.Preview) {
				t.Errorf("UID %d: preview %q, it was %q", m.UID, m.Preview, was)
			}
			if m.Preview != nil {
				known[m.UID] = m.Preview
			}
		}
	}
}

func (s *storageSuite) fetchSaveDate(t T) {
	if !s.storage().Info().Has(backend.CapSaveDate) {
		t.Skip("the plugin does not announce " + backend.CapSaveDate)
	}
	for _, m := range s.fetchAll(t, backend.FetchRequest{Items: backend.FetchSaveDate}) {
		if m.SaveDate <= 0 {
			t.Errorf("UID %d: save date %d", m.UID, m.SaveDate)
		}
	}
}

func (s *storageSuite) sinkEndsFetch(t T) {
	full := errors.New("the sink is full")
	c := &collector{onMessage: func() error { return full }}
	err := s.storage().Fetch(t.Context(), &backend.FetchRequest{Mailbox: s.ref(), UIDs: s.snapshot(t).Messages.UIDs, Items: backend.FetchBody}, c)
	if !errors.Is(err, full) || len(c.got) != 1 {
		t.Errorf("Fetch went on to message %d: %v", len(c.got), err)
	}
}

func (s *storageSuite) cancelled(t T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := &collector{onMessage: func() error { cancel(); return ctx.Err() }}
	err := s.storage().Fetch(ctx, &backend.FetchRequest{Mailbox: s.ref(), UIDs: s.snapshot(t).Messages.UIDs, Items: backend.FetchBody}, c)
	wantKind(t, "Fetch", err, backend.KindCancelled)
	_, err = s.storage().Open(ctx, s.ref())
	wantKind(t, "Open", err, backend.KindCancelled)
	s.snapshot(t)
}

func (s *storageSuite) concurrent(t T) {
	snap := s.snapshot(t)
	want := s.bodies(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			var c collector
			r := &backend.FetchRequest{Mailbox: s.ref(), UIDs: snap.Messages.UIDs, Items: backend.FetchSize | backend.FetchBody}
			if err := s.storage().Fetch(t.Context(), r, &c); err != nil {
				t.Errorf("Fetch: %v", err)
				return
			}
			if !slices.EqualFunc(c.got, want, sameText) {
				t.Error("concurrent calls give other messages")
			}
			if got, err := s.storage().Open(t.Context(), s.ref()); err != nil || !slices.Equal(got.Messages.UIDs, snap.Messages.UIDs) {
				t.Errorf("concurrent Open: %v", err)
			}
		})
	}
	wg.Wait()
}

func sameText(a, b fetched) bool { return a.UID == b.UID && bytes.Equal(a.body, b.body) }

// killed kills the plugin after the first message, and fetches the rest from the new one, as core does.
func (s *storageSuite) killed(t T) {
	want := s.bodies(t)
	uids := s.snapshot(t).Messages.UIDs
	c := &collector{}
	if s.process {
		c.onMessage = func() error {
			if len(c.got) == 1 {
				s.restart(t)
			}
			return nil
		}
	}
	for attempt := 0; ; attempt++ {
		err := s.storage().Fetch(t.Context(), &backend.FetchRequest{Mailbox: s.ref(), UIDs: uids, Items: backend.FetchBody}, c)
		if err == nil {
			break
		}
		wantKind(t, "Fetch from a plugin that was killed", err, backend.KindUnavailable)
		if attempt == 2 {
			t.Fatal("the new process does not serve")
		}
		if n := len(c.got); n > 0 {
			last := c.got[n-1]
			if uint64(len(last.body)) < last.BodySize { // ask for it again
				c.got = c.got[:n-1]
			}
		}
		if len(c.got) == len(want) {
			break // it died after the last message
		}
		uids = uids[slices.Index(uids, want[len(c.got)].UID):]
	}
	if !slices.EqualFunc(c.got, want, sameText) {
		t.Errorf("%d messages came from both processes together, and are not the %d of the mailbox", len(c.got), len(want))
	}
}

package mdbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox/mdboxtest"
)

var testUser = &backend.User{Name: "testuser"}

// openStorage returns the plugin for a store.
func openStorage(t testing.TB, store *mdboxtest.Store, more map[string]any) *Storage {
	t.Helper()
	opts := map[string]any{"mail_location": "mdbox:" + store.Root + ":ALT=" + store.Alt, "mail_attachment_dir": store.Attachments}
	for k, v := range more {
		opts[k] = v
	}
	s := New(slog.New(slog.NewTextHandler(testLog{t}, nil)))
	if err := s.Configure(context.Background(), backend.Config{Options: opts, ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// testLog sends the plugin's log to the test's.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Logf("plugin: %s", bytes.TrimSpace(p))
	return len(p), nil
}

func ref(name string) backend.MailboxRef { return backend.MailboxRef{User: testUser, Name: name} }

// collected is what a sink got for one message.
type collected struct {
	backend.FetchedMessage
	body []byte
}

// collector is a FetchSink that keeps everything and checks the order of calls.
type collector struct {
	t    testing.TB
	msgs []*collected
}

func (c *collector) Message(m *backend.FetchedMessage) error {
	c.complete()
	k := &collected{FetchedMessage: *m}
	k.HeaderFields = bytes.Clone(m.HeaderFields)
	k.BodyStructure = bytes.Clone(m.BodyStructure)
	if n := len(c.msgs); n > 0 && c.msgs[n-1].UID >= m.UID {
		c.t.Errorf("UID %d after %d", m.UID, c.msgs[n-1].UID)
	}
	c.msgs = append(c.msgs, k)
	return nil
}

func (c *collector) Body(p []byte) error {
	if len(c.msgs) == 0 || len(p) == 0 {
		c.t.Error("Body before Message, or empty")
		return nil
	}
	last := c.msgs[len(c.msgs)-1]
	last.body = append(last.body, p...)
	return nil
}

func (c *collector) complete() {
	if n := len(c.msgs); n > 0 && uint64(len(c.msgs[n-1].body)) != c.msgs[n-1].BodySize {
		c.t.Errorf("UID %d: %d bytes of body, announced %d", c.msgs[n-1].UID, len(c.msgs[n-1].body), c.msgs[n-1].BodySize)
	}
}

func fetch(t testing.TB, s *Storage, r backend.FetchRequest) []*collected {
	t.Helper()
	c := &collector{t: t}
	if err := s.Fetch(context.Background(), &r, c); err != nil {
		t.Fatal(err)
	}
	c.complete()
	return c.msgs
}

// checkStore compares everything that the storage says about its mailboxes with the truth.
func checkStore(t *testing.T, s *Storage, want *mdboxtest.Expected) {
	t.Helper()
	checkList(t, s, want)
	for name, box := range want.Mailboxes {
		if box.NoSelect {
			if _, err := s.Open(context.Background(), ref(name)); err == nil || backend.KindOf(err) != backend.KindNotFound {
				t.Errorf("%s: opening a parent: %v", name, err)
			}
			continue
		}
		checkStatus(t, s, name, box)
		snap, err := s.Open(context.Background(), ref(name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		checkSnapshot(t, name, snap, box)
		checkMails(t, s, name, snap, box)
	}
}

func checkList(t *testing.T, s *Storage, want *mdboxtest.Expected) {
	t.Helper()
	list, err := s.ListMailboxes(context.Background(), testUser, "")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]backend.MailboxInfo{}
	for i, m := range list {
		got[m.Name] = m
		if i > 0 && list[i-1].Name >= m.Name {
			t.Errorf("list: %q after %q", m.Name, list[i-1].Name)
		}
	}
	for name, box := range want.Mailboxes {
		m, ok := got[name]
		if !ok || m.NoSelect != box.NoSelect || m.NonExistent || m.Subscribed != slices.Contains(want.Subscriptions, name) {
			t.Errorf("list: %s is %+v (there: %v)", name, m, ok)
		}
		delete(got, name)
	}
	for name, m := range got {
		if !m.NonExistent || !m.Subscribed || !slices.Contains(want.Subscriptions, name) {
			t.Errorf("list: %s is not expected: %+v", name, m)
		}
	}
	for _, name := range want.Subscriptions {
		if !slices.ContainsFunc(list, func(m backend.MailboxInfo) bool { return m.Name == name && m.Subscribed }) {
			t.Errorf("list: %s is not subscribed", name)
		}
	}
}

func checkStatus(t *testing.T, s *Storage, name string, want *mdboxtest.ExpectedMailbox) {
	t.Helper()
	all := backend.StatusMailboxID<<1 - 1
	res, err := s.Status(context.Background(), testUser, "", []string{name}, all)
	if err != nil || len(res) != 1 || res[0].Err != nil {
		t.Errorf("%s: status %+v, %v", name, res, err)
		return
	}
	st := res[0]
	if st.Name != name || st.Messages != want.Messages || st.Unseen != want.Unseen || uint32(st.UIDNext) != want.UIDNext ||
		st.UIDValidity != want.UIDValidity || st.HighestModSeq != want.HighestModSeq || st.Size != want.VSize ||
		hex.EncodeToString(st.MailboxID[:]) != want.GUID {
		t.Errorf("%s: status %+v\nwant %+v", name, st, want)
	}
}

func checkSnapshot(t *testing.T, name string, snap *backend.Snapshot, want *mdboxtest.ExpectedMailbox) {
	t.Helper()
	if len(snap.Damage) > 0 {
		t.Errorf("%s: damage %q", name, snap.Damage)
	}
	if snap.UIDValidity != want.UIDValidity || uint32(snap.UIDNext) != want.UIDNext || snap.HighestModSeq != want.HighestModSeq ||
		hex.EncodeToString(snap.MailboxID[:]) != want.GUID || len(snap.Messages.UIDs) != len(want.Mails) {
		t.Errorf("%s: UIDVALIDITY %d UIDNEXT %d HIGHESTMODSEQ %d GUID %x, %d messages; want %+v", name,
			snap.UIDValidity, snap.UIDNext, snap.HighestModSeq, snap.MailboxID, len(snap.Messages.UIDs), want)
		return
	}
	if snap.Watch == 0 || snap.WatchName != "dovecot.index.log" {
		t.Errorf("%s: watch %d for %q", name, snap.Watch, snap.WatchName)
	}
	c := &snap.Messages
	for i, m := range want.Mails {
		modseq := snap.HighestModSeq
		if c.ModSeqs != nil {
			modseq = c.ModSeqs[i]
		}
		flags, keywords := flagNames(c.Flags[i]), keywordNames(snap.Keywords, c, i)
		if c.UIDs[i] != m.UID || modseq != m.ModSeq || !slices.Equal(flags, m.Flags) || !slices.Equal(keywords, m.Keywords) {
			t.Errorf("%s: message %d: UID %d flags %q keywords %q modseq %d, want %+v", name, i, c.UIDs[i], flags, keywords, modseq, m)
		}
	}
}

func flagNames(f uint8) []string {
	names := []string{}
	for _, n := range []struct {
		bit  uint8
		name string
	}{{backend.FlagAnswered, `\Answered`}, {backend.FlagDeleted, `\Deleted`}, {backend.FlagDraft, `\Draft`}, {backend.FlagFlagged, `\Flagged`}, {backend.FlagSeen, `\Seen`}} {
		if f&n.bit != 0 {
			names = append(names, n.name)
		}
	}
	return names
}

func keywordNames(all []string, c *backend.Columns, i int) []string {
	names := []string{}
	for k, name := range all {
		if c.HasKeyword(i, k) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// checkMails fetches every message in several ways and compares.
func checkMails(t *testing.T, s *Storage, name string, snap *backend.Snapshot, want *mdboxtest.ExpectedMailbox) {
	t.Helper()
	r := backend.FetchRequest{Mailbox: ref(name), UIDs: snap.Messages.UIDs,
		Items: backend.FetchSize | backend.FetchInternalDate | backend.FetchSaveDate | backend.FetchGUID | backend.FetchBody}
	whole := fetch(t, s, r)
	r.Items = backend.FetchHeader
	headers := fetch(t, s, r)
	r.Items, r.HeaderFields = 0, []string{"subject", "FROM", "References", "List-Id", "X-None"}
	fields := fetch(t, s, r)
	r.Items, r.HeaderFields = backend.FetchBody, nil
	r.Offset, r.Length = 7, 300
	parts := fetch(t, s, r)
	r.Offset, r.Length = 0, 0
	r.Items = backend.FetchBodyStructure
	structures := fetch(t, s, r)
	if len(whole) != len(want.Mails) || len(headers) != len(whole) || len(fields) != len(whole) || len(parts) != len(whole) || len(structures) != len(whole) {
		t.Errorf("%s: %d, %d, %d, %d, %d messages, want %d", name, len(whole), len(headers), len(fields), len(parts), len(structures), len(want.Mails))
		return
	}
	for i, m := range want.Mails {
		w := whole[i]
		if w.Err != nil || w.UID != m.UID || w.Size != m.SizeVirtual || w.InternalDate != m.Received || w.SaveDate != m.Saved || w.GUID != m.GUID || !w.BodyIsMessage {
			t.Errorf("%s: got %+v, want %+v", name, w.FetchedMessage, m)
			continue
		}
		header, text := splitMessage(w.body)
		if hash(w.body) != m.SHA256 || hash(text) != m.SHA256Body || uint64(len(w.body)) != m.SizeVirtual {
			t.Errorf("%s: UID %d: body of %d bytes differs", name, m.UID, len(w.body))
		}
		if !bytes.Equal(headers[i].body, header) || headers[i].BodyIsMessage {
			t.Errorf("%s: UID %d: header %q, want %q", name, m.UID, headers[i].body, header)
		}
		if got, want := string(fields[i].HeaderFields), grepFields(string(header), "subject", "from", "references", "list-id"); got != want || fields[i].BodySize != 0 {
			t.Errorf("%s: UID %d: fields %q, want %q", name, m.UID, got, want)
		}
		if want := w.body[min(7, len(w.body)):min(307, len(w.body))]; !bytes.Equal(parts[i].body, want) || parts[i].BodyIsMessage {
			t.Errorf("%s: UID %d: part %q, want %q", name, m.UID, parts[i].body, want)
		}
		if st := structures[i]; len(st.BodyStructure) == 0 && (!st.BodyIsMessage || !bytes.Equal(st.body, w.body)) {
			t.Errorf("%s: UID %d: neither a body structure nor the message", name, m.UID)
		}
	}
}

// splitMessage returns the header block with its empty line, and the rest.
func splitMessage(b []byte) (header, text []byte) {
	if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
		return b[:i+4], b[i+4:]
	}
	return b, nil
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// grepFields is a second, simple way to pick fields out of a header.
func grepFields(header string, names ...string) string {
	var out strings.Builder
	wanted := false
	for line := range strings.Lines(header) {
		if line[0] != ' ' && line[0] != '\t' {
			name, _, ok := strings.Cut(line, ":")
			wanted = ok && slices.Contains(names, strings.ToLower(name))
		}
		if wanted {
			out.WriteString(line)
		}
	}
	return out.String()
}

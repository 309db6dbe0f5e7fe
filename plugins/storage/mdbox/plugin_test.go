package mdbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox/mdboxtest/writer"
)

// configured returns a plugin with the given options.
func configured(t testing.TB, opts map[string]any, spaces ...backend.Namespace) *Storage {
	t.Helper()
	s := New(slog.New(slog.NewTextHandler(testLog{t}, nil)))
	if err := s.Configure(context.Background(), backend.Config{Options: opts, Namespaces: spaces, BaseDir: "/base"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestLocateUser(t *testing.T) {
	s := configured(t, map[string]any{"mail_location": "mdbox:~/mdbox:ALT=alt/%n", "mail_home": "/home/%Ln", "mail_attachment_dir": "/att/%d"},
		backend.Namespace{Inbox: true}, backend.Namespace{Name: "shared", Location: "mdbox:/shared/%i"})
	for _, c := range []struct {
		user        backend.User
		namespace   string
		root, alt   string
		attachments string
		err         string
	}{
		{backend.User{Name: "Ann@X.org"}, "", "/home/ann/mdbox", "/base/alt/Ann", "/att/X.org", ""},
		{backend.User{Name: "ann", Fields: map[string]string{"home": "/h/a"}}, "", "/h/a/mdbox", "/base/alt/ann", "/att", ""},
		{backend.User{Name: "ann", Fields: map[string]string{"mail": "mdbox:/own/%n"}}, "", "/own/ann", "", "/att", ""},
		{backend.User{Name: "ann", Fields: map[string]string{"mail": "mdbox:/own/%n", "uid": "77"}}, "shared", "/shared/77", "", "/att", ""},
		{backend.User{Name: "ann", Fields: map[string]string{"mail": "mbox:/own"}}, "", "", "", "", "not supported"},
		{backend.User{Name: "../ann"}, "", "", "", "", "not usable"},
		{backend.User{Name: "ann", Fields: map[string]string{"uid": "0", "gid": "77"}}, "", "", "", "", "not accessed as root"},
		{backend.User{Name: "ann", Fields: map[string]string{"uid": "root"}}, "", "", "", "", "not accessed as root"},
		{backend.User{Name: "ann", Fields: map[string]string{"uid": "77", "gid": "0"}}, "", "", "", "", "not accessed as root"},
		{backend.User{Name: "ann"}, "nope", "", "", "", "no such namespace"},
	} {
		_, p, err := s.locate(&c.user, c.namespace)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%+v: %v, want an error with %q", c.user, err, c.err)
			}
			continue
		}
		if err != nil || p.location.Root != c.root || p.location.Alt != c.alt || filepath.Clean(p.attachments) != c.attachments {
			t.Errorf("%+v: %+v, %v", c.user, p, err)
		}
	}
}

func TestLifecycle(t *testing.T) {
	ctx := context.Background()
	s := New(slog.New(slog.DiscardHandler))
	if err := s.Health(ctx); err == nil || backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("health before Configure: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close before Configure: %v", err)
	}
	opts := map[string]any{"mail_location": "mdbox:" + t.TempDir()}
	if err := s.Configure(ctx, backend.Config{Options: opts}); err != nil {
		t.Fatal(err)
	}
	if err := s.Configure(ctx, backend.Config{Options: opts}); err == nil {
		t.Error("configured twice")
	}
	if err := s.Health(ctx); err != nil {
		t.Error(err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Open(cancelled, ref("INBOX")); err == nil || backend.KindOf(err) != backend.KindCancelled {
		t.Errorf("Open with an ended context: %v", err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Open(ctx, ref("INBOX")); err == nil || backend.KindOf(err) != backend.KindUnavailable {
		t.Errorf("Open after Close: %v", err)
	}
	if _, err := s.WatchFile(ctx); err == nil {
		t.Error("WatchFile after Close")
	}
}

func TestEmptyStore(t *testing.T) {
	s := configured(t, map[string]any{"mail_location": "mdbox:" + filepath.Join(t.TempDir(), "missing")})
	list, err := s.ListMailboxes(context.Background(), testUser, "")
	if err != nil || len(list) != 0 {
		t.Errorf("list of a store that does not exist: %v, %v", list, err)
	}
	for name, kind := range map[string]backend.ErrorKind{"Drafts": backend.KindNotFound, "a//b": backend.KindInvalidArgument, "../x": backend.KindInvalidArgument} {
		if _, err := s.Open(context.Background(), ref(name)); err == nil || backend.KindOf(err) != kind {
			t.Errorf("Open %s: %v, want kind %v", name, err, kind)
		}
	}
	st, err := s.Status(context.Background(), testUser, "", []string{"Drafts"}, backend.StatusMessages)
	if err != nil || len(st) != 1 || st[0].Err == nil || st[0].Err.Kind != backend.KindNotFound {
		t.Errorf("status: %+v, %v", st, err)
	}
	if snap, err := s.Open(context.Background(), ref("INBOX")); err != nil || snap.UIDNext != 1 {
		t.Errorf("INBOX was not made: %v, %v", snap, err)
	}
}

// newStore writes INBOX with the given messages.
func newStore(t testing.TB, msgs ...[]byte) (*writer.Store, *writer.Mailbox) {
	t.Helper()
	w := writer.New(t, t.TempDir())
	m := w.Mailbox("INBOX")
	if len(msgs) > 0 {
		m.Append(0, msgs...)
	}
	return w, m
}

func TestWatchTellsChanges(t *testing.T) {
	w, m := newStore(t, []byte("Subject: 1\r\n\r\n"))
	s := configured(t, map[string]any{"mail_location": "mdbox:" + w.Root})
	events, err := s.WatchFile(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	first, err := s.Open(context.Background(), ref("INBOX"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Open(context.Background(), ref("INBOX"))
	if err != nil || again.Watch != first.Watch || first.Watch == 0 {
		t.Fatalf("watches %d and %d, %v", first.Watch, again.Watch, err)
	}
	if queued(t, events) != 0 {
		t.Error("reading caused events")
	}
	m.Flags(1, 1, backend.FlagSeen, 0)
	if queued(t, events) == 0 {
		t.Error("no event for a change")
	}
	m.Rotate()
	if queued(t, events) == 0 {
		t.Error("no event for a rotation")
	}
	if err := s.Unwatch(context.Background(), []int32{first.Watch}); err != nil {
		t.Fatal(err)
	}
	m.Flags(1, 1, 0, backend.FlagSeen)
	if queued(t, events) == 0 {
		t.Error("no event after one of two users gave its watch back")
	}
	if err := os.RemoveAll(m.Dir); err != nil {
		t.Fatal(err)
	}
	if queued(t, events) == 0 {
		t.Error("no event for the deletion of the mailbox")
	}
	if _, err := s.Changes(context.Background(), ref("INBOX"), first.Position); err == nil || backend.KindOf(err) != backend.KindNotFound {
		t.Errorf("changes of a deleted mailbox: %v", err)
	}
	if again, err := s.Open(context.Background(), ref("INBOX")); err != nil || again.MailboxID == first.MailboxID {
		t.Errorf("INBOX was not made again: %v", err)
	}
}

func TestPositionsThatAreNotOurs(t *testing.T) {
	w, _ := newStore(t, []byte("Subject: 1\r\n\r\n"))
	s := configured(t, map[string]any{"mail_location": "mdbox:" + w.Root})
	snap, err := s.Open(context.Background(), ref("INBOX"))
	if err != nil {
		t.Fatal(err)
	}
	if len(snap.Position) > 64 {
		t.Errorf("position of %d bytes, core/backend allows 64", len(snap.Position))
	}
	for i := range snap.Position {
		other := bytes.Clone(snap.Position)
		other[i] ^= 0x40
		c, err := s.Changes(context.Background(), ref("INBOX"), other)
		if err != nil || c.Reset == nil && len(c.Updated.UIDs)+len(c.Appended.UIDs) == 0 && !bytes.Equal(c.Position, snap.Position) {
			t.Errorf("position with byte %d changed: %+v, %v", i, c, err)
		}
	}
	for _, p := range [][]byte{nil, {}, snap.Position[:5], []byte("from some other plugin")} {
		if c, err := s.Changes(context.Background(), ref("INBOX"), p); err != nil || c.Reset == nil || c.Reset.Watch != 0 {
			t.Errorf("position %q: %+v, %v; want a reset without a watch", p, c, err)
		}
	}
}

// failingSink fails at the n-th call.
type failingSink struct {
	n   int
	err error
}

func (f *failingSink) call() error {
	if f.n--; f.n < 0 {
		return f.err
	}
	return nil
}
func (f *failingSink) Message(*backend.FetchedMessage) error { return f.call() }
func (f *failingSink) Body([]byte) error                     { return f.call() }

func TestFetchReturnsErrorOfSink(t *testing.T) {
	w, _ := newStore(t, []byte("Subject: 1\r\n\r\nx"), bytes.Repeat([]byte("0123456789abcd\r\n"), 50_000))
	s := configured(t, map[string]any{"mail_location": "mdbox:" + w.Root})
	stop := errors.New("stop")
	r := backend.FetchRequest{Mailbox: ref("INBOX"), UIDs: []uint32{1, 2}, Items: backend.FetchBody}
	for n := range 6 {
		if err := s.Fetch(context.Background(), &r, &failingSink{n, stop}); !errors.Is(err, stop) {
			t.Errorf("sink fails at call %d: Fetch returned %v", n, err)
		}
	}
}

func TestFetchLeavesOutWhatIsNotThere(t *testing.T) {
	w, m := newStore(t, []byte("Subject: 1\r\n\r\n"), []byte("Subject: 2\r\n\r\n"), []byte("Subject: 3\r\n\r\n"))
	m.Expunge(2)
	s := configured(t, map[string]any{"mail_location": "mdbox:" + w.Root})
	msgs := fetch(t, s, backend.FetchRequest{Mailbox: ref("INBOX"), UIDs: []uint32{1, 2, 3, 4, 4_000_000_000}, HeaderFields: []string{"Subject"}})
	if len(msgs) != 2 || string(msgs[0].HeaderFields) != "Subject: 1\r\n" || string(msgs[1].HeaderFields) != "Subject: 3\r\n" {
		t.Errorf("got %+v", msgs)
	}
}

// TestLargeBodies is about bodies that do not fit into memory at once.
func TestLargeBodies(t *testing.T) {
	body := []byte("Subject: large\r\n\r\n")
	for i := 0; len(body) < 3*wholeBody; i++ {
		body = fmt.Appendf(body, "line %d\r\n", i)
	}
	w, _ := newStore(t, body)
	s := configured(t, map[string]any{"mail_location": "mdbox:" + w.Root})
	for _, c := range []struct{ offset, length int }{{0, 0}, {1, 0}, {0, wholeBody + 1}, {wholeBody, wholeBody + 7}, {len(body) - 3, 100}, {len(body), 5}, {len(body) + 5, 0}} {
		msgs := fetch(t, s, backend.FetchRequest{Mailbox: ref("INBOX"), UIDs: []uint32{1}, Items: backend.FetchBody, Offset: uint64(c.offset), Length: uint64(c.length)})
		want := body[min(c.offset, len(body)):]
		if c.length > 0 {
			want = want[:min(c.length, len(want))]
		}
		if len(msgs) != 1 || msgs[0].Err != nil || !bytes.Equal(msgs[0].body, want) {
			t.Errorf("%+v: %d messages, %d bytes, want %d", c, len(msgs), len(msgs[0].body), len(want))
		}
	}
	// Half of the file is lost: that must be known before a size is told to a client.
	if err := os.Truncate(w.MailFile(1), int64(2*wholeBody)); err != nil {
		t.Fatal(err)
	}
	msgs := fetch(t, s, backend.FetchRequest{Mailbox: ref("INBOX"), UIDs: []uint32{1}, Items: backend.FetchBody})
	if len(msgs) != 1 || msgs[0].Err == nil || msgs[0].Err.Kind != backend.KindCorrupted || !strings.Contains(msgs[0].Err.Detail, w.MailFile(1)) {
		t.Errorf("of a cut file: %+v", msgs[0].FetchedMessage)
	}
}

// TestLimitsOfCaches lets many users' mailboxes go through caches that hold few, all at once.
func TestLimitsOfCaches(t *testing.T) {
	root := t.TempDir()
	const users = 12
	for u := range users {
		w := writer.New(t, filepath.Join(root, fmt.Sprint("u", u)))
		for _, name := range []string{"INBOX", "A"} {
			m := w.Mailbox(name)
			m.Cache("Subject")
			m.Append(0, fmt.Appendf(nil, "Subject: %s of u%d\r\n\r\n", name, u))
		}
	}
	s := configured(t, map[string]any{"mail_location": "mdbox:" + root + "/%u", "max_open_mailboxes": int64(3), "max_open_stores": int64(2), "max_open_files": int64(8), "cache_bytes": "64k"})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 200 {
				user, name := &backend.User{Name: fmt.Sprint("u", (i*7+g)%users)}, []string{"INBOX", "A"}[i%2]
				r := backend.FetchRequest{Mailbox: backend.MailboxRef{User: user, Name: name}, UIDs: []uint32{1}, HeaderFields: []string{"Subject"}, Items: backend.FetchBody, Length: 10}
				c := &collector{t: t}
				if err := s.Fetch(context.Background(), &r, c); err != nil {
					t.Error(err)
					return
				}
				if want := fmt.Sprintf("Subject: %s of %s\r\n", name, user.Name); len(c.msgs) != 1 || string(c.msgs[0].HeaderFields) != want {
					t.Errorf("got %+v, want %q", c.msgs, want)
				}
			}
		})
	}
	wg.Wait()
	s.stores.mailboxes.mu.Lock()
	defer s.stores.mailboxes.mu.Unlock()
	if n := len(s.stores.mailboxes.entries); n > 3 {
		t.Errorf("%d mailboxes are open, the limit is 3", n)
	}
	if n := openMailFiles(t, root); n > 8 {
		t.Errorf("%d files are open, the limit is 8", n)
	}
}

// openMailFiles counts the descriptors of this process below dir.
func openMailFiles(t *testing.T, dir string) (n int) {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if path, err := os.Readlink(fd); err == nil && strings.HasPrefix(path, dir) {
			n++
		}
	}
	return n
}

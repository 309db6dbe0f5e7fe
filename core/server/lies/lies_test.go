package lies

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imap"
	"github.com/roostmail/roost/core/mailbox/mailboxtest"
	"github.com/roostmail/roost/core/pluginrpc"
	"github.com/roostmail/roost/core/session"
	pluginv1 "github.com/roostmail/roost/proto/roost/plugin/v1"
	storagev1 "github.com/roostmail/roost/proto/roost/storage/v1"
)

// answerTimeout is what is waited for a plugin that does not answer.
const answerTimeout = 300 * time.Millisecond

// story is one lie: what the plugin answers wrongly while the client does something.
type story struct {
	name    string
	method  string   // that is lied about
	before  []string // commands of the same session before it, to the truth
	command string   // of a session that has INBOX selected, with messages 1:3
	lie     lie
	// log is what the log says, beside the plugin's name; "" = the lie can not be told from the truth, but must not do harm.
	log string
	// harmless: what is wrong is left out, or was not needed, so the answer may be OK.
	harmless bool
	// bye: the session ends instead of a NO.
	bye bool
	// never is what the client must not be told; "" = anything.
	never string
}

func uids(v ...uint32) (col []byte) {
	for _, u := range v {
		col = binary.LittleEndian.AppendUint32(col, u)
	}
	return col
}

func sizes(v ...uint64) (col []byte) {
	for _, u := range v {
		col = binary.LittleEndian.AppendUint64(col, u)
	}
	return col
}

type (
	fetchResponse  = storagev1.FetchResponse
	changeResponse = storagev1.ChangesResponse
	openResponse   = storagev1.OpenResponse
)

// grown makes changes of an answer that there are none, with one message that came in.
func grown(m *changeResponse, uid uint32) []*changeResponse {
	h := &storagev1.ChangesHeader{UidNext: 100, HighestModSeq: 50, Position: []byte("later"), AppendedCount: 1}
	return []*changeResponse{{Header: h}, {Appended: &storagev1.Columns{Uids: uids(uid), Flags: []byte{0}, ModSeqs: sizes(50)}}}
}

var stories = []story{
	{name: "a message that was not asked for", method: "Fetch", command: "UID FETCH 1 BODY[]", log: "UID 77 was not asked for",
		lie: edit(func(_ int, m *fetchResponse) { m.Uids = uids(77) })},
	{name: "the same message twice", method: "Fetch", command: "FETCH 1:3 RFC822.SIZE", log: "comes out of order",
		lie: edit(func(_ int, m *fetchResponse) { copy(m.Uids[4:], m.Uids[:4]) })},
	{name: "messages in another order", method: "Fetch", command: "FETCH 1:3 RFC822.SIZE", log: "comes out of order",
		lie: edit(func(_ int, m *fetchResponse) { copy(m.Uids, uids(3, 2, 1)) })},
	{name: "a truncated column", method: "Fetch", command: "FETCH 1 BODY[]", log: "column uids has 3 bytes",
		lie: edit(func(_ int, m *fetchResponse) { m.Uids = m.Uids[:3] })},
	{name: "a column that is too short", method: "Fetch", command: "FETCH 1:3 RFC822.SIZE", log: "column sizes has 8 bytes for 3 messages",
		lie: edit(func(_ int, m *fetchResponse) { m.Sizes = m.Sizes[:8] })},
	{name: "a body shorter than announced", method: "Fetch", command: "FETCH 1 BODY[]", log: "before the body's end", bye: true,
		lie: edit(func(_ int, m *fetchResponse) { grow(m, 10) })},
	{name: "a body longer than announced", method: "Fetch", command: "FETCH 1 BODY[]", log: "more body than body_sizes announced", bye: true,
		lie: edit(func(_ int, m *fetchResponse) { m.BodySizes = sizes(3) })},
	{name: "a message of 2 GiB announced", method: "Fetch", command: "FETCH 1 BODY[]", log: "before the body's end", bye: true,
		lie: edit(func(_ int, m *fetchResponse) { m.BodySizes = sizes(2 << 30) })},
	{name: "a body of 2^64-1 bytes", method: "Fetch", command: "FETCH 1 BODY[]", log: "a size of more than",
		lie: edit(func(_ int, m *fetchResponse) { m.BodySizes = sizes(1<<64 - 1) })},
	{name: "a size that is negative in other languages", method: "Fetch", command: "FETCH 1 RFC822.SIZE", log: "a size of more than",
		lie: edit(func(_ int, m *fetchResponse) { m.Sizes = sizes(1 << 63) })},
	{name: "lengths that overflow", method: "Fetch", command: "FETCH 1 BODY[]", log: "lengths add up to",
		lie: edit(func(_ int, m *fetchResponse) { m.Lengths = uids(1<<32-1, 1<<32-1, 1<<32-1, 1<<32-1) })},
	{name: "an answer that is no protobuf", method: "Fetch", command: "FETCH 1 BODY[]", log: "liar",
		lie: func(_ int, _ []byte, send func([]byte) error) error {
			return send([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f, 1, 2, 3})
		}},
	{name: "an answer without end", method: "Fetch", command: "FETCH 1 BODY[]", log: "response without content",
		lie: func(_ int, _ []byte, send func([]byte) error) error {
			for {
				if err := send(nil); err != nil {
					return err
				}
			}
		}},
	{name: "silence in the middle", method: "Fetch", command: "FETCH 1 BODY[]", log: "plugin_answer_timeout",
		lie: func(int, []byte, func([]byte) error) error { return errSilence }},

	{name: "header fields that were not asked for", method: "Fetch", command: "FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]", harmless: true,
		lie: edit(func(_ int, m *fetchResponse) {
			const evil = "X-Evil: joe\r\n"
			if len(m.Uids) > 0 { // the second length is that of the header fields, behind the GUID
				at := binary.LittleEndian.Uint32(m.Lengths)
				m.Data = slices.Insert(m.Data, int(at), []byte(evil)...)
				binary.LittleEndian.PutUint32(m.Lengths[4:], binary.LittleEndian.Uint32(m.Lengths[4:])+uint32(len(evil)))
			}
		})},
	{name: "no answer to a question", method: "Changes", command: "NOOP", log: "no response",
		lie: func(int, []byte, func([]byte) error) error { return io.EOF }},
	{name: "silence", method: "Changes", command: "NOOP", log: "plugin_answer_timeout",
		lie: func(int, []byte, func([]byte) error) error { return errSilence }},
	{name: "garbage", method: "Changes", command: "NOOP", log: "liar",
		lie: func(_ int, _ []byte, send func([]byte) error) error { return send([]byte("garbage\xff\xff")) }},
	{name: "a new message whose UID is there already", method: "Changes", command: "NOOP", log: "invalid answer",
		lie: changes(func(m *changeResponse) []*changeResponse { return grown(m, 2) })},
	{name: "a UID that is not below UIDNEXT", method: "Changes", command: "NOOP", log: "not below uid_next",
		lie: changes(func(m *changeResponse) []*changeResponse { return grown(m, 100) })},
	{name: "a modseq above the highest", method: "Changes", command: "NOOP", log: "not between 1 and highest_mod_seq",
		lie: changes(func(m *changeResponse) []*changeResponse {
			ms := grown(m, 50)
			ms[1].Appended.ModSeqs = sizes(51)
			return ms
		})},
	{name: "fewer messages than announced", method: "Changes", command: "NOOP", log: "1 messages were announced, 0 came",
		lie: changes(func(m *changeResponse) []*changeResponse { return grown(m, 50)[:1] })},
	{name: "more messages than announced", method: "Changes", command: "NOOP", log: "more messages than the 1 announced",
		lie: changes(func(m *changeResponse) []*changeResponse {
			ms := grown(m, 50)
			ms[1].Appended = &storagev1.Columns{Uids: uids(50, 51), Flags: []byte{0, 0}, ModSeqs: sizes(50, 50)}
			return ms
		})},
	{name: "expunged messages in another order", method: "Changes", command: "NOOP", log: "UID 1 after UID 2",
		lie: changes(func(*changeResponse) []*changeResponse {
			return []*changeResponse{{Header: &storagev1.ChangesHeader{UidNext: 100, HighestModSeq: 50, Position: []byte("later"), ExpungedCount: 2}}, {Expunged: uids(2, 1)}}
		})},
	{name: "flags that do not exist", method: "Changes", command: "NOOP", log: "unknown system flag bits",
		lie: changes(func(m *changeResponse) []*changeResponse {
			ms := grown(m, 50)
			ms[1].Appended.Flags[0] = 0xff
			return ms
		})},
	{name: "a new UIDVALIDITY in mid-session", method: "Changes", command: "NOOP", bye: true,
		lie: changes(func(*changeResponse) []*changeResponse {
			return []*changeResponse{{Reset_: &storagev1.SnapshotHeader{MailboxId: make([]byte, 16), UidValidity: 99, UidNext: 5, HighestModSeq: 9, Position: []byte("p")}}}
		})},

	{name: "UIDs that do not ascend", method: "Open", command: "SELECT Other", log: "UID 1 after UID 3",
		lie: edit(func(_ int, m *openResponse) {
			if m.Messages != nil {
				m.Messages.Uids, m.Messages.UidRuns = uids(3, 1, 2), nil
			}
		})},
	{name: "a UID twice", method: "Open", command: "SELECT Other", log: "UID 2 after UID 2",
		lie: edit(func(_ int, m *openResponse) {
			if m.Messages != nil {
				m.Messages.Uids, m.Messages.UidRuns = uids(1, 2, 2), nil
			}
		})},
	{name: "UIDVALIDITY 0", method: "Open", command: "SELECT Other", log: "uid_validity is 0",
		lie: edit(func(_ int, m *openResponse) {
			if m.Header != nil {
				m.Header.UidValidity = 0
			}
		})},
	{name: "more messages announced than came", method: "Open", command: "SELECT Other", log: "were announced, 3 came",
		lie: edit(func(_ int, m *openResponse) {
			if m.Header != nil {
				m.Header.MessageCount = 1 << 24
			}
		})},
	{name: "too many messages announced", method: "Open", command: "SELECT Other", log: "plugin_max_messages",
		lie: edit(func(_ int, m *openResponse) {
			if m.Header != nil {
				m.Header.MessageCount = 1<<32 - 1
			}
		})},
	{name: "an open without answer", method: "Open", command: "SELECT Other", log: "no response",
		lie: func(int, []byte, func([]byte) error) error { return io.EOF }},

	{name: "a listing out of order", method: "ListMailboxes", command: `LIST "" *`, log: "ListMailboxes: name",
		lie: edit(func(_ int, m *storagev1.ListMailboxesResponse) {
			m.Names, m.Attributes = m.Names+"A\x00", append(m.Attributes, 0)
		})},
	{name: "a listing without end", method: "ListMailboxes", command: `LIST "" *`, log: "response without mailboxes",
		lie: func(_ int, b []byte, send func([]byte) error) error {
			for {
				if err := send(nil); err != nil {
					return err
				}
			}
		}},
	{name: "STATUS of another number of mailboxes", method: "Status", command: "STATUS Other (MESSAGES)", log: "2 elements for 1 names",
		lie: edit(func(_ int, m *storagev1.StatusResponse) { m.Mailboxes = append(m.Mailboxes, m.Mailboxes[0]) })},
	{name: "a UID that was not copied", method: "Copy", command: "COPY 1 Other", log: "source: UID 9 was not asked for",
		lie: edit(func(_ int, m *storagev1.CopyResponse) {
			if len(m.Source) > 0 {
				m.Source = uids(9)
			}
		})},
	{name: "an error kind that is not known", method: "Open", command: "SELECT Other", log: "liar",
		lie: func(int, []byte, func([]byte) error) error { return errorOfTomorrow() }},
}

// grow makes the announced body longer, by what it lacks then.
func grow(m *fetchResponse, by uint64) {
	if len(m.BodySizes) == 8 {
		m.BodySizes = sizes(binary.LittleEndian.Uint64(m.BodySizes) + by)
	}
}

// changes is a lie that answers the first response with others.
func changes(with func(*changeResponse) []*changeResponse) lie {
	return func(n int, response []byte, send func([]byte) error) error {
		for _, m := range with(nil) {
			if err := edit(func(_ int, to *changeResponse) {
				to.Reset()
				to.Header, to.Reset_, to.Expunged, to.Appended = m.Header, m.Reset_, m.Expunged, m.Appended
			})(n, nil, send); err != nil {
				return err
			}
		}
		return io.EOF
	}
}

// auth knows everybody.
type auth struct{ backend.Plugin }

func (auth) Info() backend.Info { return backend.Info{Kind: backend.KindAuth, Name: "fake"} }
func (auth) VerifyPassword(_ context.Context, r backend.PasswordRequest) (*backend.Identity, error) {
	return &backend.Identity{User: backend.User{Name: r.User}}, nil
}

// buffer is a log.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// take returns what was logged since the last call.
func (b *buffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.b.String()
	b.b.Reset()
	return s
}

// client is a session.
type client struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, addr, user string) *client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	cl := &client{t, c, bufio.NewReader(c)}
	cl.line()
	cl.must("LOGIN " + user + " x")
	cl.must("SELECT INBOX")
	return cl
}

func (c *client) line() string {
	c.SetReadDeadline(time.Now().Add(20 * time.Second)) // so that a hang fails the test
	line, err := c.r.ReadString('\n')
	if err != nil {
		return ""
	}
	return line
}

// run sends a command, and returns its tagged line, "BYE" if the session ended, and all that came before.
func (c *client) run(command string) (tagged, untagged string) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c, "x %s\r\n", command); err != nil {
		c.t.Fatal(err)
	}
	for {
		line := c.line()
		if line == "" || strings.HasPrefix(line, "* BYE") {
			return "BYE", untagged
		}
		if strings.HasPrefix(line, "x ") {
			return line[2:], untagged
		}
		untagged += line
		if i := strings.LastIndexByte(line, '{'); i >= 0 && strings.HasSuffix(line, "}\r\n") {
			n, err := strconv.Atoi(line[i+1 : len(line)-3])
			if err != nil {
				c.t.Fatalf("%q: %v", line, err)
			}
			b := make([]byte, min(n, 1<<20))
			got, err := io.ReadFull(c.r, b)
			untagged += string(b[:got])
			if err != nil || got < n {
				return "BYE", untagged
			}
		}
	}
}

func (c *client) must(command string) string {
	c.t.Helper()
	tagged, untagged := c.run(command)
	if !strings.HasPrefix(tagged, "OK") {
		c.t.Fatalf("%s: %s", command, tagged)
	}
	return untagged
}

func fill(m *mailboxtest.Mailbox, who string) {
	for i := range 3 {
		m.Append(fmt.Sprintf("Subject: %d\r\n\r\nmail of %s\r\n", i, who), 0)
	}
}

// serve serves IMAP until the test ends, and returns the address and the log.
func serve(t *testing.T, c imap.Config, a backend.Auth, storage backend.Storage) (string, *buffer) {
	t.Helper()
	log := &buffer{}
	srv, err := imap.New(c, a, storage, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	engine, err := session.New(session.Config{MaxSessions: 100}, srv, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	srv.Attach(engine.SignalMailbox)
	srv.AttachSessions(engine.SignalSession)
	t.Cleanup(func() {
		engine.Close()
		srv.Close()
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Serve(ln, session.Listener{Addr: "test"}); err != nil {
		t.Fatal(err)
	}
	return ln.Addr().String(), log
}

func TestLies(t *testing.T) {
	for _, lanes := range []bool{false, true} {
		t.Run(map[bool]string{false: "gRPC", true: "lanes"}[lanes], func(t *testing.T) {
			store := mailboxtest.New(false)
			store.AllowWrites()
			store.AllowMetadata(10)
			store.AllowACL()
			store.SetQuota(backend.QuotaRoot{Name: "mail", Namespaces: []string{""}, Resources: []backend.QuotaResource{{Kind: backend.QuotaStorage, Usage: 1, Limit: 1 << 20}}})
			store.Announce(backend.CapSaveDate, backend.CapPreview, backend.CapObjectID, backend.CapReplace)
			for _, user := range []string{"jane", "joe"} {
				fill(store.Create(user, "", "INBOX"), user)
				fill(store.Create(user, "", "Other"), user)
				bin := store.Create(user, "", "Bin")
				for _, name := range []string{"Old", "Older"} {
					old := store.Create(user, "", name)
					fill(old, user)
					old.DisableModSeqs()
				}
				for range 4 {
					fill(bin, user)
				}
			}
			storage, p := liar(t, store, lanes, pluginrpc.Limits{AnswerTimeout: answerTimeout, MaxAnswer: 1 << 20})
			addr, log := serve(t, imap.DefaultConfig(), auth{}, storage.(backend.Storage))
			joe := dial(t, addr, "joe")
			const ask = "FETCH 1:* (UID FLAGS BODY.PEEK[])"
			want := joe.must(ask)
			if strings.Count(want, "mail of joe") != 3 {
				t.Fatalf("joe has %q", want)
			}
			for _, s := range slices.Concat(stories, extensions) {
				t.Run(s.name, func(t *testing.T) {
					jane := dial(t, addr, "jane")
					for _, command := range s.before {
						jane.must(command)
					}
					log.take()
					method := s.method
					if method == "Fetch" && !lanes {
						method = "FetchMany"
					}
					p.arm(method, s.lie)
					tagged, untagged := jane.run(s.command)
					told := p.told()
					p.arm("", nil)
					joe.t = t
					if got := joe.must(ask); got != want {
						t.Errorf("another user gets %q, want %q", got, want)
					}
					if told == 0 {
						t.Fatalf("%s was not called: %s", s.method, tagged)
					}
					if ok := strings.HasPrefix(tagged, "NO") || s.bye && tagged == "BYE" || s.harmless && strings.HasPrefix(tagged, "OK"); !ok {
						t.Errorf("%s is answered %q after %q", s.command, tagged, untagged)
					}
					if text := log.take(); s.log != "" && (!strings.Contains(text, s.log) || !strings.Contains(text, "liar")) {
						t.Errorf("the log does not say liar and %q: %s", s.log, text)
					}
					if s.never != "" && strings.Contains(untagged, s.never) {
						t.Errorf("the client is told %q", untagged)
					}
					if strings.Contains(untagged, "joe") {
						t.Errorf("mail of another user: %q", untagged)
					}
					if again := dial(t, addr, "jane"); strings.Count(again.must(ask), "mail of jane") != 3 {
						t.Error("afterwards, the mail of the user is not there")
					}
				})
			}
		})
	}
}

// errorOfTomorrow is one of a kind that this core does not know.
func errorOfTomorrow() error {
	s, err := status.New(codes.Internal, "liar").WithDetails(&pluginv1.Error{Kind: 4711, Message: "something new", Detail: "of liar"})
	if err != nil {
		return err
	}
	return s.Err()
}

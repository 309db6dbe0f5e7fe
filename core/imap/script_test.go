package imap_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	goimap "github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imap"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/mailbox/mailboxtest"
	"github.com/roostmail/roost/core/session"
)

// The conversations in testdata/imap are scripts of lines:
//
//	# comment
//	1> a LOGIN demo secret      connection 1 (opened by its first line) sends a line; \r \n \t \\ \xNN are escapes
//	1< a OK …                   the next line that connection 1 gets; … stands for anything
//	1<~ * LIST …                one of several lines in any order: a run of such lines is matched as a set
//	1<EOF                       connection 1 is closed by the server
//	1<DEFLATE                   what follows on connection 1 is compressed, both ways (RFC 4978)
//	! append INBOX \Seen,work text of the message     changes the store (see storeOps), and tells its watches
//	!quiet append …             the same, but nobody reads the watches' events before somebody asks
//	config name value           before the first other line: see setConfig
//
// A run of 1> lines is sent as one packet.
const scriptDir = "../../testdata/imap"

func TestConversations(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(scriptDir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in %s: %v", scriptDir, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			runScript(t, file, string(text), testConfig())
		})
	}
}

// TestConversationsAsleep plays the same conversations with mailboxes that fall asleep after each command: clients do not notice.
func TestConversationsAsleep(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(scriptDir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in %s: %v", scriptDir, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			cfg := testConfig()
			cfg.Mailboxes.Warm = 0
			runScript(t, file, string(text), cfg)
		})
	}
}

// script is a conversation while it is played.
type script struct {
	t        *testing.T
	file     string
	line     int
	cfg      imap.Config
	watches  bool
	writes   bool                // storage can write
	modseqs  bool                // storage keeps modseqs
	acl      bool                // storage has access control lists
	quota    []backend.QuotaRoot // nil: storage has no quotas
	metadata int                 // annotations that storage keeps for a mailbox, 0 = none
	engine   session.Config      // but for MaxSessions
	srv      *server
	conns    map[string]*conn
	packet   map[string][]byte // lines to send
	offers   []string          // more that storage announces
}

func runScript(t *testing.T, file, text string, cfg imap.Config) {
	sc := &script{t: t, file: file, cfg: cfg, watches: true, modseqs: true, conns: map[string]*conn{}, packet: map[string][]byte{}}
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		sc.line = i + 1
		line := strings.TrimRight(lines[i], " ")
		switch who, rest, ok := cutVerb(line); {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "config "):
			sc.setConfig(strings.Fields(line)[1:])
		case strings.HasPrefix(line, "!"):
			sc.flush()
			sc.change(line[1:])
		case !ok:
			sc.fail("what is %q?", line)
		case rest[0] == '>':
			sc.conn(who)
			sc.packet[who] = append(append(sc.packet[who], unescape(sc, rest[1:])...), '\r', '\n')
		case rest == "<DEFLATE":
			sc.flush()
			sc.conn(who).deflate()
		case rest == "<EOF":
			sc.flush()
			sc.conn(who).wantEOF()
		case strings.HasPrefix(rest, "<~"):
			sc.flush()
			var want []string
			for ; i < len(lines) && strings.HasPrefix(lines[i], who+"<~"); i++ {
				want = append(want, strings.TrimSpace(strings.TrimPrefix(lines[i], who+"<~")))
			}
			i--
			sc.conn(who).wantSet(want)
		default:
			sc.flush()
			sc.conn(who).want(strings.TrimPrefix(rest[1:], " "))
		}
	}
	sc.flush()
	for who, c := range sc.conns {
		c.wantNothing(who)
	}
}

// cutVerb cuts "1> text" into the connection and the rest.
func cutVerb(line string) (who, rest string, ok bool) {
	n := strings.IndexAny(line, "<>")
	if n < 1 || strings.TrimLeft(line[:n], "0123456789") != "" {
		return "", "", false
	}
	return line[:n], line[n:], true
}

func (sc *script) fail(format string, args ...any) {
	sc.t.Helper()
	sc.t.Fatalf("%s:%d: %s", sc.file, sc.line, fmt.Sprintf(format, args...))
}

// flush sends what is waiting to be sent.
func (sc *script) flush() {
	for who, p := range sc.packet {
		if len(p) > 0 {
			sc.conns[who].send(p)
			sc.packet[who] = nil
		}
	}
}

func unescape(sc *script, s string) []byte {
	s = strings.TrimPrefix(s, " ")
	if !strings.Contains(s, `\x`) && !strings.Contains(s, `\r`) && !strings.Contains(s, `\n`) {
		return []byte(s)
	}
	out, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
	if err != nil {
		sc.fail("%q: %v", s, err)
	}
	return []byte(out)
}

func testConfig() imap.Config {
	cfg := imap.DefaultConfig()
	cfg.AllowPlaintextAuth = true
	cfg.AuthFailureDelay = 0
	cfg.Version = "test"
	return cfg
}

func (sc *script) setConfig(f []string) {
	if sc.srv != nil || len(f) < 2 {
		sc.fail("config must come first and have a value")
	}
	seconds := func() time.Duration {
		d, err := time.ParseDuration(f[1])
		if err != nil {
			sc.fail("%v", err)
		}
		return d
	}
	switch f[0] {
	case "watches":
		sc.watches = f[1] == "true"
	case "plaintext":
		sc.cfg.AllowPlaintextAuth = f[1] == "true"
		sc.cfg.TrustLocal = false
	case "mechanisms":
		sc.cfg.Mechanisms = strings.Split(f[1], ",")
	case "failure_delay":
		sc.cfg.AuthFailureDelay = seconds()
	case "user_sessions":
		sc.cfg.UserSessions, _ = strconv.Atoi(f[1])
	case "user_address_sessions":
		sc.cfg.UserAddressSessions, _ = strconv.Atoi(f[1])
	case "notify": // notify_set notify_user_mailboxes notify_mailboxes
		sc.cfg.NotifySet, _ = strconv.Atoi(f[1])
		sc.cfg.NotifyUserMailboxes, _ = strconv.Atoi(f[2])
		sc.cfg.NotifyMailboxes, _ = strconv.Atoi(f[3])
	case "login_timeout":
		sc.cfg.LoginTimeout = seconds()
	case "autologout":
		sc.cfg.Autologout = seconds()
	case "keepalive":
		sc.cfg.IdleKeepalive = seconds()
	case "poll":
		sc.cfg.Mailboxes.PollInterval = seconds()
	case "journal":
		sc.cfg.Mailboxes.JournalBytes, _ = strconv.Atoi(f[1])
	case "sleeps": // false: the script is not for mailboxes that sleep
		sc.cfg.Mailboxes.Warm = mailbox.DefaultConfig.Warm
	case "write":
		sc.writes = f[1] == "true"
	case "offers":
		sc.offers = f[1:]
	case "modseqs":
		sc.modseqs = f[1] == "true"
	case "metadata": // most annotations of a mailbox, bytes of a value
		sc.metadata, _ = strconv.Atoi(f[1])
		sc.cfg.MetadataValue, _ = strconv.Atoi(f[2])
	case "contexts":
		sc.cfg.Contexts, _ = strconv.Atoi(f[1])
		sc.cfg.ContextBytes, _ = strconv.Atoi(f[2])
	case "search_mailboxes":
		sc.cfg.SearchMailboxes, _ = strconv.Atoi(f[1])
	case "sort_memory":
		sc.cfg.SortMemory, _ = strconv.Atoi(f[1])
	case "quota": // name, usage and limit of storage, of messages
		root := backend.QuotaRoot{Name: strings.ReplaceAll(f[1], "_", " "), Namespaces: []string{""}}
		for i, kind := range []backend.QuotaKind{backend.QuotaStorage, backend.QuotaMessage} {
			usage, _ := strconv.ParseUint(f[2+2*i], 10, 64)
			limit, _ := strconv.ParseUint(f[3+2*i], 10, 64)
			root.Resources = append(root.Resources, backend.QuotaResource{Kind: kind, Usage: usage, Limit: limit})
		}
		sc.quota = append(sc.quota, root)
	case "acl":
		sc.acl = f[1] == "true"
	case "message_limit": // command_messages save_messages
		sc.cfg.CommandMessages, _ = strconv.Atoi(f[1])
		sc.cfg.SaveMessages, _ = strconv.Atoi(f[2])
	case "saved_result":
		sc.cfg.SavedResult, _ = strconv.Atoi(f[1])
	case "message":
		sc.engine.MaxMessage, _ = strconv.ParseInt(f[1], 10, 64)
		sc.cfg.AppendLimit = uint64(sc.engine.MaxMessage)
	case "compressed_sessions":
		sc.engine.MaxCompressed, _ = strconv.Atoi(f[1])
	case "spool":
		sc.engine.MaxSpool, _ = strconv.ParseInt(f[1], 10, 64)
	case "spool_above":
		sc.engine.SpoolAbove, _ = strconv.Atoi(f[1])
	case "bad":
		sc.cfg.MaxBad, _ = strconv.Atoi(f[1])
	case "namespace": // name prefix separator inbox|- list|hidden[,unsubscribed] [mailbox=\Special[,subscribe]]…
		shown, unsubscribed := strings.CutSuffix(f[5], ",unsubscribed")
		ns := backend.Namespace{Name: strings.Trim(f[1], "-"), Prefix: strings.Trim(f[2], `"`), Separator: f[3][0], Inbox: f[4] == "inbox", List: shown == "list", Subscriptions: !unsubscribed}
		for _, m := range f[6:] {
			name, rest, _ := strings.Cut(m, "=")
			special, auto, _ := strings.Cut(rest, ",")
			ns.Mailboxes = append(ns.Mailboxes, backend.NamespaceMailbox{Name: name, SpecialUse: special, Auto: auto})
		}
		sc.cfg.Namespaces = append(sc.cfg.Namespaces, ns)
	default:
		sc.fail("unknown setting %s", f[0])
	}
}

// server returns the script's server, which is started when it is first needed.
func (sc *script) server() *server {
	if sc.srv == nil {
		sc.srv = startServer(sc.t, sc.cfg, sc.watches, func(store *mailboxtest.Store, engine *session.Config) {
			if sc.writes {
				store.AllowWrites()
			}
			if sc.quota != nil {
				store.SetQuota(sc.quota...)
			}
			if sc.acl {
				store.AllowACL()
			}
			if sc.metadata > 0 {
				store.AllowMetadata(sc.metadata)
			}
			if !sc.modseqs {
				store.WithoutModSeqs()
			}
			store.Announce(sc.offers...)
			*engine = sc.engine
		})
		sc.srv.store.Create("demo", "", "INBOX")
	}
	return sc.srv
}

func (sc *script) conn(who string) *conn {
	if sc.conns[who] == nil {
		sc.conns[who] = sc.server().dial(sc)
	}
	return sc.conns[who]
}

// storeOps change the store of user demo; the mailbox is named NAMESPACE:NAME or NAME.
var storeOps = map[string]func(sc *script, ns, name, arg string){
	"append": func(sc *script, ns, name, arg string) {
		flags, text, _ := strings.Cut(arg, " ")
		f, kw := parseFlags(flags)
		sc.box(ns, name).Append(string(unescape(sc, text)), f, kw...)
	},
	"flags": func(sc *script, ns, name, arg string) {
		uid, flags, _ := strings.Cut(arg, " ")
		f, kw := parseFlags(flags)
		sc.box(ns, name).SetFlags(parseUID(uid), f, kw...)
	},
	"expunge": func(sc *script, ns, name, arg string) {
		for _, uid := range strings.Fields(arg) {
			sc.box(ns, name).Expunge(parseUID(uid))
		}
	},
	"damage": func(sc *script, ns, name, arg string) { // UID corrupted|expunged
		uid, kind, _ := strings.Cut(arg, " ")
		err := backend.Errorf(backend.KindExpunged, "")
		if kind == "corrupted" {
			err = &backend.Error{Kind: backend.KindCorrupted, Detail: "m.1: offset 77: no header"}
		}
		sc.box(ns, name).Damage(parseUID(uid), err)
	},
	"enlarge": func(sc *script, ns, name, arg string) { sc.box(ns, name).Enlarge(parseUID(arg)) },
	"unsaved": func(sc *script, ns, name, arg string) { sc.box(ns, name).ForgetSaveDate(parseUID(arg)) },
	"preview": func(sc *script, ns, name, arg string) {
		uid, text, _ := strings.Cut(arg, " ")
		sc.box(ns, name).SetPreview(parseUID(uid), string(unescape(sc, text)))
	},
	"recent":    func(sc *script, ns, name, arg string) { sc.box(ns, name).SetFirstRecent(parseUID(arg)) },
	"nomodseqs": func(sc *script, ns, name, arg string) { sc.box(ns, name).DisableModSeqs() },
	"forget":    func(sc *script, ns, name, arg string) { sc.box(ns, name).ForgetHistory() },
	"create":    func(sc *script, ns, name, arg string) { sc.server().store.Create("demo", ns, name) },
	"delete":    func(sc *script, ns, name, arg string) { sc.server().store.Delete("demo", ns, name) },
	"damaged": func(sc *script, ns, name, arg string) {
		sc.server().store.Fail(backend.Errorf(backend.KindCorrupted, ""))
	},
	"down": func(sc *script, ns, name, arg string) {
		sc.server().store.Fail(backend.Errorf(backend.KindUnavailable, ""))
	},
	"fail": func(sc *script, _, method, kind string) { // METHOD [KIND]: no kind ends it
		sc.server().store.FailCall(method, failure(sc, kind))
	},
	"failanswer": func(sc *script, _, method, kind string) { // the same, but the call does its work
		sc.server().store.FailAnswer(method, failure(sc, kind))
	},
	"noquota": func(sc *script, _, _, _ string) { // no limit any more
		sc.server().store.SetQuota(backend.QuotaRoot{Name: sc.quota[0].Name, Namespaces: sc.quota[0].Namespaces})
	},
	"rights": func(sc *script, ns, name, letters string) { // "-" = none
		rights := backend.Rights(0)
		for _, c := range strings.Trim(letters, "-") {
			rights |= 1 << strings.IndexRune("lrwstipekxa", c)
		}
		sc.server().store.SetRights("demo", ns, name, rights)
	},
	"unchanged": func(sc *script, _, on, _ string) { sc.server().store.WithoutChanged(on == "on") },
	"up":        func(sc *script, ns, name, arg string) { sc.server().store.Fail(nil) },
	"name": func(sc *script, ns, name, arg string) {
		info := backend.MailboxInfo{Name: name}
		for _, a := range strings.Fields(arg) {
			switch a {
			case "subscribed":
				info.Subscribed = true
			case "noselect":
				info.NoSelect = true
			case "nonexistent":
				info.NonExistent = true
			case "noinferiors":
				info.NoInferiors = true
			}
		}
		sc.server().store.Name("demo", ns, info)
	},
}

// failure returns an error of a kind that a script names, nil for none.
func failure(sc *script, kind string) error {
	kinds := map[string]backend.ErrorKind{"overquota": backend.KindOverQuota, "limit": backend.KindLimit, "unavailable": backend.KindUnavailable,
		"inuse": backend.KindInUse, "notfound": backend.KindNotFound, "readonly": backend.KindReadOnly, "internal": backend.KindInternal,
		"noperm": backend.KindNoPermission}
	k, ok := kinds[kind]
	switch {
	case kind == "":
		return nil
	case !ok:
		sc.fail("unknown kind %q", kind)
	}
	return backend.Errorf(k, "")
}

// change executes "!" lines.
func (sc *script) change(line string) {
	line, quiet := strings.CutPrefix(line, "quiet ")
	f := strings.SplitN(strings.TrimSpace(line), " ", 3)
	f = append(f, "", "")
	op := storeOps[f[0]]
	if op == nil {
		sc.fail("unknown operation %q", f[0])
	}
	ns, name, found := strings.Cut(f[1], ":")
	if !found {
		ns, name = "", f[1]
	}
	op(sc, ns, name, f[2])
	if !quiet {
		sc.srv.poll()
	}
}

func (sc *script) box(ns, name string) *mailboxtest.Mailbox {
	m := sc.server().store.Mailbox("demo", ns, name)
	if m == nil {
		sc.fail("no mailbox %q", name)
	}
	return m
}

func parseUID(s string) goimap.UID {
	n, _ := strconv.Atoi(s)
	return goimap.UID(n)
}

func parseFlags(s string) (flags uint8, keywords []string) {
	bits := map[string]uint8{`\Answered`: backend.FlagAnswered, `\Flagged`: backend.FlagFlagged, `\Deleted`: backend.FlagDeleted,
		`\Seen`: backend.FlagSeen, `\Draft`: backend.FlagDraft}
	for _, f := range strings.Split(s, ",") {
		if b, ok := bits[f]; ok {
			flags |= b
		} else if f != "-" && f != "" {
			keywords = append(keywords, f)
		}
	}
	return flags, keywords
}

// server is a protocol engine on a session engine, with a store in memory.
type server struct {
	logs   logs
	t      testing.TB
	store  *mailboxtest.Store
	imap   *imap.Server
	engine *session.Engine
	addr   string
}

func startServer(t testing.TB, cfg imap.Config, watches bool, setup ...func(*mailboxtest.Store, *session.Config)) *server {
	t.Helper()
	return startServerOn(t, cfg, watches, func(s *mailboxtest.Store) backend.Storage { return s }, setup...)
}

// startServerOn is startServer with what storage makes of the store.
func startServerOn(t testing.TB, cfg imap.Config, watches bool, storage func(*mailboxtest.Store) backend.Storage, setup ...func(*mailboxtest.Store, *session.Config)) *server {
	t.Helper()
	s := &server{t: t, store: mailboxtest.New(watches)}
	var ec session.Config
	for _, f := range setup {
		f(s.store, &ec)
	}
	ec.MaxSessions = 100
	log := slog.New(slog.NewTextHandler(&s.logs, nil))
	var err error
	if s.imap, err = imap.New(cfg, fakeAuth{}, storage(s.store), log); err != nil {
		t.Fatal(err)
	}
	e, err := session.New(ec, s.imap, log)
	if err != nil {
		t.Fatal(err)
	}
	s.engine = e
	s.imap.Attach(e.SignalMailbox)
	s.imap.AttachSessions(e.SignalSession)
	s.imap.Mailboxes().SetPoll(s.poll)
	t.Cleanup(func() {
		e.Close()
		s.imap.Close()
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	if err := e.Serve(ln, session.Listener{Addr: "test"}); err != nil {
		t.Fatal(err)
	}
	return s
}

// poll passes on the watches' events.
func (s *server) poll() {
	for _, e := range s.store.Drain() {
		s.imap.Mailboxes().WatchEvent(e.Watch, e.Name, false)
	}
}

// fakeAuth knows the user demo with the password secret. Its SASL mechanism COUNT challenges with "1" and "2", which want to be
// answered with "one" and "two"; "0" comes first if there is no initial response.
type fakeAuth struct{ backend.Plugin }

func (fakeAuth) Info() backend.Info {
	return backend.Info{Kind: backend.KindAuth, Name: "fake", Capabilities: []string{backend.CapSASL + "COUNT"}}
}

func (fakeAuth) StepSASL(_ context.Context, r backend.SASLRequest) (*backend.SASLAnswer, error) {
	switch string(r.State) + ">" + string(r.Response) {
	case ">":
		return &backend.SASLAnswer{Challenge: []byte("0"), State: []byte("start")}, nil
	case ">zero", "start>zero":
		return &backend.SASLAnswer{Challenge: []byte("1"), State: []byte("1\x00")}, nil
	case "1\x00>one":
		return &backend.SASLAnswer{Challenge: []byte("2"), State: []byte("2")}, nil
	case "2>two":
		return &backend.SASLAnswer{Identity: &backend.Identity{User: backend.User{Name: "demo"}}}, nil
	case "2>three":
		return nil, backend.Errorf(backend.KindInvalidArgument, "three")
	}
	return nil, &backend.Error{Kind: backend.KindAuthFailed, Detail: "wrong answer"}
}

func (fakeAuth) VerifyPassword(_ context.Context, r backend.PasswordRequest) (*backend.Identity, error) {
	switch {
	case r.User == "down":
		return nil, backend.Errorf(backend.KindUnavailable, "")
	case r.User == "moved":
		return nil, &backend.Error{Kind: backend.KindAuthDenied, Message: "Try this server instead", Referral: "imap://moved;AUTH=*@mail2.example.org/"}
	case r.User == "sly":
		return nil, &backend.Error{Kind: backend.KindAuthDenied, Referral: "imap://x] OK\r\n* BYE/"}
	case r.User == "denied":
		return nil, backend.Errorf(backend.KindAuthDenied, "")
	case r.User == "expired":
		return nil, backend.Errorf(backend.KindAuthExpired, "")
	case r.User == "demo" && r.Password == "secret" && r.AuthzID == "":
		return &backend.Identity{User: backend.User{Name: "demo"}}, nil
	}
	return nil, &backend.Error{Kind: backend.KindAuthFailed, Detail: "wrong password"}
}

// conn is a client's end.
type conn struct {
	sc   *script
	c    net.Conn
	z    *flate.Writer // into zbuf; nil: what is sent is not compressed
	zbuf bytes.Buffer
	r    *bufio.Reader
}

func (s *server) dial(sc *script) *conn {
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		sc.fail("%v", err)
	}
	s.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second)) // so that a line that never comes fails the test
	return &conn{sc: sc, c: c, r: bufio.NewReader(c)}
}

// deflate compresses what follows.
func (c *conn) deflate() {
	c.z, _ = flate.NewWriter(&c.zbuf, flate.BestSpeed) // an error says that there is no such level
	c.r = bufio.NewReader(flate.NewReader(c.r))
}

func (c *conn) send(p []byte) {
	if c.z != nil {
		c.z.Write(p) // the buffer has no errors
		c.z.Flush()
		p = c.zbuf.Bytes() // in one packet: a command may be answered before the end of its flush
		c.zbuf.Reset()
	}
	if _, err := c.c.Write(p); err != nil {
		c.sc.fail("%v", err)
	}
}

func (c *conn) read() string {
	c.sc.t.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil {
		c.sc.fail("reading: %q, %v", line, err)
	}
	return strings.TrimSuffix(line, "\r\n")
}

func (c *conn) want(pattern string) {
	c.sc.t.Helper()
	if got := c.read(); !matches(pattern, got) {
		c.sc.fail("got  %s\nwant %s", got, pattern)
	}
}

func (c *conn) wantSet(patterns []string) {
	c.sc.t.Helper()
	left := patterns
next:
	for range patterns {
		got := c.read()
		for i, p := range left {
			if matches(p, got) {
				left = append(append([]string(nil), left[:i]...), left[i+1:]...)
				continue next
			}
		}
		c.sc.fail("got  %s\nwant one of %q", got, left)
	}
}

func (c *conn) wantEOF() {
	c.sc.t.Helper()
	if rest, err := io.ReadAll(c.r); err != nil || len(rest) > 0 {
		c.sc.fail("got %q, %v, want the end of the connection", rest, err)
	}
}

// wantNothing sends a last command, and fails if anything precedes its answer.
func (c *conn) wantNothing(who string) {
	c.sc.t.Helper()
	if _, err := c.c.Write([]byte("last LOGOUT\r\n")); err != nil {
		return // closed before, as the script has stated
	}
	rest, _ := io.ReadAll(c.r)
	got := strings.Split(strings.TrimSuffix(string(rest), "\r\n"), "\r\n")
	if len(rest) > 0 && got[0] != "* BYE Logging out" && !strings.HasPrefix(got[0], "last BAD") {
		c.sc.fail("at the end connection %s still got %q", who, got)
	}
}

// matches compares a line with a pattern in which … stands for anything.
func matches(pattern, line string) bool {
	parts := strings.Split(pattern, "…")
	if len(parts) == 1 {
		return pattern == line
	}
	if !strings.HasPrefix(line, parts[0]) {
		return false
	}
	line = line[len(parts[0]):]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(line, p)
		if i < 0 {
			return false
		}
		line = line[i+len(p):]
	}
	return strings.HasSuffix(line, parts[len(parts)-1])
}

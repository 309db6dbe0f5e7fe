package session

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// toy is a protocol for tests. Its commands are "tag WORD [argument]":
//
//	ECHO x      answered on the loop     RUN x     answered by a worker
//	SPEW n      n bytes by a worker      LOOP n    n bytes by the loop
//	HOLD        waits on a worker until the context ends or release is closed
//	LONG        calls Breathe for each step, until release is closed
//	LOGIN [n]   sets State.User          LINES     ModeLine, until the line DONE
//	CHANNEL     what is known of the handshake    FORGET    ForgetChannel
//	BOX n       SetMailbox               LATE s    SetDeadline(s seconds)
//	TLS         STARTTLS                 BYE       Close
//	ZIP         Compress                 ZIPRUN    the same by a worker
//	DAMAGE n    damages what is kept of the compressed stream
//	WAIT s      ModeHold, until the deadline in s seconds
//	BULK n      n bytes in one Write by a worker
//	SUM x       length and CRC-32 of the command, by a worker
//	SPOOL x     its literals are bodies; the command, and length and CRC-32 of each, by a worker
//	SPOOLBAD    the same, but literals of 13 octets are refused
//	SPOOLASK    the same as SPOOL, decided by a worker: literals of 13 octets are refused, others wait as HOLD does
//	SPOOLHOLD   the same as SPOOL after HOLD
type toy struct {
	started chan struct{} // HOLD has begun
	release chan struct{} // lets HOLD go on, and ends LONG
	step    chan struct{} // LONG calls Breathe
	stepped chan struct{} // and is back from it

	mu     sync.Mutex
	causes []error // how HOLD's contexts ended

	wanted    atomic.Bool
	events    atomic.Int64
	greeted   atomic.Int64
	closed    atomic.Int64
	refusedBy atomic.Value // limit of the last refusal
}

// bulk is what SPEW and BULK write.
var bulk = sync.OnceValue(func() []byte { return bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16) })

func newToy() *toy {
	t := &toy{started: make(chan struct{}, 1000), release: make(chan struct{}), step: make(chan struct{}), stepped: make(chan struct{}, 1000)}
	t.wanted.Store(true)
	return t
}

func (t *toy) Greet(s *Session) {
	t.greeted.Add(1)
	s.WriteString("hello\r\n")
}

func (t *toy) Literal(s *Session, cmd []byte, size uint64, nonSync bool) LiteralAnswer {
	if bytes.Contains(cmd, []byte("NOLITERAL")) {
		s.WriteString("refused\r\n")
		return LiteralRefuse
	}
	if bytes.Contains(cmd, []byte(" SPOOLASK")) {
		return LiteralAsk
	}
	if bytes.Contains(cmd, []byte(" SPOOL")) {
		for _, b := range s.Bodies() {
			if b.At > len(cmd) {
				panic("a body behind the end")
			}
		}
		if size == 13 && bytes.Contains(cmd, []byte(" SPOOLBAD")) {
			fmt.Fprintf(writer{s}, "refused behind %d\r\n", len(s.Bodies()))
			return LiteralRefuse
		}
		return LiteralSpool
	}
	return LiteralAccept
}

func (t *toy) RunLiteral(ctx context.Context, s *Session, cmd []byte, size uint64, nonSync bool) LiteralAnswer {
	t.hold(ctx)
	if size == 13 {
		s.WriteString("refused by a worker\r\n")
		return LiteralRefuse
	}
	return LiteralSpool
}

// hold waits for release or the end of ctx.
func (t *toy) hold(ctx context.Context) {
	t.started <- struct{}{}
	select {
	case <-ctx.Done():
		t.mu.Lock()
		t.causes = append(t.causes, context.Cause(ctx))
		t.mu.Unlock()
	case <-t.release:
	}
}

// long is a command of many steps.
func (t *toy) long(s *Session) {
	t.started <- struct{}{}
	for {
		select {
		case <-t.step:
			s.Breathe()
			t.stepped <- struct{}{}
		case <-t.release:
			return
		}
	}
}

// bodies describes the bodies of a command.
func (t *toy) bodies(s *Session, cmd []byte) {
	rest, at := "", 0
	for _, b := range s.Bodies() {
		rest, at = rest+string(cmd[at:b.At])+"#", b.At+b.Kept
	}
	fmt.Fprintf(writer{s}, "spooled %q\r\n", rest+string(cmd[at:]))
	for i, b := range s.Bodies() {
		sum := crc32.NewIEEE()
		n, err := io.Copy(sum, s.OpenBody(i))
		fmt.Fprintf(writer{s}, "%d %d %08x %v\r\n", b.Size, n, sum.Sum32(), err)
	}
}

func words(cmd []byte) (tag, word, arg string) {
	f := strings.SplitN(strings.TrimRight(string(cmd), "\r\n"), " ", 3)
	f = append(f, "", "")
	return f[0], f[1], f[2]
}

func (t *toy) Quick(s *Session, cmd []byte) bool {
	if bytes.HasPrefix(cmd, []byte("NOOP")) { // for benchmarks: no allocation
		s.WriteString("OK\r\n")
		return true
	}
	tag, word, arg := words(cmd)
	switch word {
	case "ECHO":
		fmt.Fprintf(writer{s}, "%s %q\r\n", tag, arg)
	case "LOOP":
		n, _ := strconv.Atoi(arg)
		s.WriteString(strings.Repeat("x", n))
		fmt.Fprintf(writer{s}, "%s ok\r\n", tag)
	case "LOGIN":
		n, _ := strconv.Atoi(arg)
		s.State().User = uint32(max(n, 1))
		fmt.Fprintf(writer{s}, "%s ok\r\n", tag)
	case "UNLOGIN":
		s.State().User = 0
		fmt.Fprintf(writer{s}, "%s ok\r\n", tag)
	case "CHANNEL":
		c := s.Channel()
		fmt.Fprintf(writer{s}, "%s %x %x %q\r\n", tag, c.Exporter, c.EndPoint, c.Client)
	case "FORGET":
		s.ForgetChannel()
		fmt.Fprintf(writer{s}, "%s ok\r\n", tag)
	case "LINES":
		s.SetMode(ModeLine)
		s.WriteString("+ idling\r\n")
	case "BOX":
		n, _ := strconv.Atoi(arg)
		s.SetMailbox(uint32(n))
		fmt.Fprintf(writer{s}, "%s ok\r\n", tag)
	case "LATE":
		n, _ := strconv.Atoi(arg)
		s.SetDeadline(time.Duration(n) * time.Second)
		fmt.Fprintf(writer{s}, "%s ok\r\n", tag)
	case "WAIT":
		n, _ := strconv.Atoi(arg)
		s.SetDeadline(time.Duration(n) * time.Second)
		s.SetMode(ModeHold)
		fmt.Fprintf(writer{s}, "%s waits\r\n", tag)
	case "TLS":
		if !s.CanStartTLS() {
			fmt.Fprintf(writer{s}, "%s no\r\n", tag)
			return true
		}
		fmt.Fprintf(writer{s}, "%s ok\r\n", tag)
		s.StartTLS()
	case "ZIP":
		t.zip(s, tag)
	case "BYE":
		fmt.Fprintf(writer{s}, "%s bye\r\n", tag)
		s.Close()
		s.WriteString("never sent\r\n")
	default:
		return false
	}
	return true
}

// zip compresses what follows.
func (t *toy) zip(s *Session, tag string) {
	answer := " already"
	if !s.Compressed() {
		if answer = " ok"; s.Compress() != "" {
			answer = " too many"
		}
	}
	s.WriteString(tag + answer + "\r\n")
}

type writer struct{ s *Session }

func (w writer) Write(p []byte) (int, error) {
	w.s.Write(p)
	return len(p), nil
}

func (t *toy) Run(ctx context.Context, s *Session, cmd []byte) {
	if bytes.HasPrefix(cmd, []byte("WORK")) {
		s.WriteString("OK\r\n")
		return
	}
	tag, word, arg := words(cmd)
	switch word {
	case "SPEW":
		n, _ := strconv.Atoi(arg)
		for n > 0 && s.Err() == nil {
			m := min(n, 8<<10)
			s.Write(bulk()[:m])
			n -= m
		}
	case "BULK":
		n, _ := strconv.Atoi(arg)
		s.WriteString("bulk\r\n")
		s.Write(bulk()[:n])
	case "PARTS":
		n, _ := strconv.Atoi(arg)
		s.WriteString("bulk\r\n")
		for size := 1600; n > 0 && s.Err() == nil; size = size%300_000 + 16_000 {
			m := min(n, 1600)
			s.WriteString(string(bulk()[:m]))
			n -= m
			m = min(n, size)
			s.WritePart(bulk()[:m])
			n -= m
		}
	case "LONG":
		t.long(s)
	case "DAMAGE":
		n, _ := strconv.Atoi(arg)
		before := len(s.x.flow)
		damages[n](s.x)
		s.e.flowBytes.Add(int64(len(s.x.flow) - before))
	case "ZIPRUN":
		t.zip(s, tag)
		return
	case "HOLD", "SPOOLHOLD":
		t.hold(ctx)
	}
	if strings.HasPrefix(word, "SPOOL") {
		t.bodies(s, cmd)
		return
	}
	if word == "SUM" {
		fmt.Fprintf(writer{s}, "%s %d %08x\r\n", tag, len(cmd), crc32.ChecksumIEEE(cmd))
		return
	}
	fmt.Fprintf(writer{s}, "%s ran %q\r\n", tag, arg)
}

func (t *toy) Line(s *Session, line []byte) bool {
	switch string(bytes.TrimRight(line, "\r\n")) {
	case "DONE":
		s.SetMode(ModeCommand)
		s.WriteString("done\r\n")
		return true
	case "WORK":
		return false
	}
	fmt.Fprintf(writer{s}, "line %q\r\n", line)
	return true
}

func (t *toy) RunLine(ctx context.Context, s *Session, line []byte) {
	fmt.Fprintf(writer{s}, "ran line %q\r\n", line)
}

func (t *toy) Event(ctx context.Context, s *Session) {
	t.events.Add(1)
	fmt.Fprintf(writer{s}, "event %d\r\n", s.Mailbox())
}

func (t *toy) EventWanted(s *Session) bool { return t.wanted.Load() }

func (t *toy) QuickTimeout(*Session) bool { return false }

func (t *toy) Timeout(ctx context.Context, s *Session) {
	s.WriteString("timeout\r\n")
	if s.r.mode == ModeHold {
		s.SetMode(ModeCommand)
		return
	}
	s.Close()
}

func (t *toy) Refuse(s *Session, why Refusal, head []byte, limit string) {
	t.refusedBy.Store(limit)
	fmt.Fprintf(writer{s}, "refused %d %.10q %s\r\n", why, head, limit)
}

func (t *toy) Shutdown(s *Session) {
	s.WriteString("shutdown\r\n")
	s.Close()
}

func (t *toy) Evict(s *Session, limit string) {
	fmt.Fprintf(writer{s}, "evicted %s\r\n", limit)
}

func (t *toy) Full(limit string) []byte { return []byte("full " + limit + "\r\n") }

func (t *toy) Closed(s *Session) { t.closed.Add(1) }

// server is an engine under test with one plaintext listener.
type server struct {
	*Engine
	toy  *toy
	addr string
}

func startServer(t testing.TB, cfg Config, clock func() time.Time) *server {
	t.Helper()
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	p := newToy()
	if clock == nil {
		clock = time.Now
	}
	log := slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelInfo}))
	e, err := newEngine(cfg, p, log, clock, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		e.Close()
		if g, c := p.closed.Load(), int64(e.counts.accepted.Load()); g != c {
			t.Errorf("Closed was called %d times for %d sessions", g, c)
		}
		if st := e.Stats(); st.Sessions != 0 || st.Extras != 0 || st.ExtraBytes != 0 || st.TLS != 0 || st.SlabBytes != 0 || st.Spools != 0 || st.SpoolBytes != 0 || st.Compressed != 0 || st.FlowBytes != 0 {
			t.Errorf("something is left: %+v", st)
		}
		eventually(t, "all goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines })
		if n := openFiles(t); n > files {
			t.Errorf("%d descriptors are left", n-files)
		}
	})
	return &server{Engine: e, toy: p, addr: listen(t, e, Listener{Addr: "test"})}
}

// openFiles counts the descriptors of this process.
func openFiles(t testing.TB) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

// TestMain starts what the net package keeps for ever, so that it is not taken for a leak.
func TestMain(m *testing.M) {
	if ln, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		ln.Close()
	}
	os.Exit(m.Run())
}

func listen(t testing.TB, e *Engine, l Listener) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	if err := e.Serve(ln, l); err != nil {
		t.Fatal(err)
	}
	return addr
}

// testLog is a log that goes to the test's.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	if tt, ok := l.t.(*testing.T); ok {
		tt.Logf("%s", bytes.TrimSpace(p))
	}
	return len(p), nil
}

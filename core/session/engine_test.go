package session

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// client is a test's end of a connection. Every wait has a limit, so that a lost wake-up fails the test.
type client struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func (s *server) dial(t testing.TB) *client {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	cl := newClient(t, c)
	cl.want("hello")
	return cl
}

func newClient(t testing.TB, c net.Conn) *client {
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{t: t, Conn: c, r: bufio.NewReader(c)}
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, s); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) want(lines ...string) {
	c.t.Helper()
	for _, want := range lines {
		got, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("reading %q: got %q, %v", want, got, err)
		}
		if got = strings.TrimRight(got, "\r\n"); got != want {
			c.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// wantEnd reads to the end of the connection.
func (c *client) wantEnd() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.r); err != nil || len(rest) > 0 {
		c.t.Fatalf("got %q, %v, want the end", rest, err)
	}
}

// eventually waits for a condition that other goroutines bring about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("did not happen: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// quiet waits until every session sleeps: an answer can be read before its session has gone to sleep.
func (s *server) quiet(t testing.TB) {
	t.Helper()
	eventually(t, "all sessions sleep", func() bool {
		asleep := true
		s.Each(func(i Info) bool {
			asleep = !i.Busy
			return asleep
		})
		return asleep
	})
}

func TestCommandsAreAnsweredInOrder(t *testing.T) {
	c := startServer(t, Config{}, nil).dial(t)
	c.send("a ECHO 1\r\nb RUN 2\r\nc ECHO 3\r\nd RUN 4\r\ne ECHO 5\n")
	c.want(`a "1"`, `b ran "2"`, `c "3"`, `d ran "4"`, `e "5"`)
	var all strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&all, "t%d %s x\r\n", i, []string{"ECHO", "RUN"}[i/7%2])
	}
	go io.WriteString(c.Conn, all.String()) // ends with the connection at the latest
	for i := range 5000 {
		c.want(fmt.Sprintf("t%d %s\"x\"", i, []string{"", "ran "}[i/7%2]))
	}
}

func TestInputByteByByte(t *testing.T) {
	s := startServer(t, Config{}, nil)
	c := s.dial(t)
	c.send("x LOGIN\r\n")
	c.want("x ok")
	for _, b := range []byte("a ECHO {5}\r\nhe\r\no!\r\nb RUN {3+}\r\nxyz {0+}\r\n\r\n") {
		c.send(string(b))
	}
	c.want("+ OK", `a "{5}\r\nhe\r\no!"`, `b ran "{3+}\r\nxyz {0+}"`)
	eventually(t, "a session without anything half-received keeps no extra", func() bool {
		return s.Stats().Extras == 0 && s.Stats().ExtraBytes == 0
	})
	c.send("c EC")
	eventually(t, "a half-received command is kept", func() bool { return s.Stats().Extras == 1 && s.Stats().ExtraBytes > 0 })
	c.send("HO 1\r\n")
	c.want(`c "1"`)
}

func TestLines(t *testing.T) {
	c := startServer(t, Config{}, nil).dial(t)
	c.send("a LINES\r\nx {3}\r\nWORK\r\nDONE\r\nb ECHO x\r\n")
	c.want("+ idling", `line "x {3}\r\n"`, `ran line "WORK\r\n"`, "done", `b "x"`)
}

func TestLimitsRefuseBeforeBuffering(t *testing.T) {
	s := startServer(t, Config{MaxLineUnauth: 100, MaxLine: 200, MaxLiteralUnauth: 50, MaxLiteral: 5000, MaxCommand: 6000}, nil)
	c := s.dial(t)
	long := strings.Repeat("x", 300)
	c.send("a ECHO " + long + "\r\nb ECHO 1\r\n")
	c.want(`refused 0 "a ECHO xxx" [limits] unauthenticated_line`, `b "1"`)
	c.send("a ECHO {51}\r\n")
	c.want(`refused 2 "a ECHO {51" [limits] unauthenticated_literal`)
	c.send("a ECHO {60+}\r\n" + long[:60] + " {1+}\r\n\n and more\r\nb ECHO 2\r\n")
	c.want(`refused 2 "a ECHO {60" [limits] unauthenticated_literal`, `b "2"`)
	c.send("a NOLITERAL {5+}\r\n12345\r\nb NOLITERAL {5}\r\nc ECHO 3\r\n")
	c.want("refused", "refused", `c "3"`)

	c.send("a LOGIN\r\nb ECHO " + long[:150] + "\r\nc ECHO " + long + "\r\n")
	c.want("a ok", fmt.Sprintf("b %q", long[:150]), `refused 0 "c ECHO xxx" [limits] line`)
	c.send("a ECHO {5001}\r\n")
	c.want(`refused 2 "a ECHO {50" [limits] literal`)
	c.send("a ECHO {3000+}\r\n" + strings.Repeat(long, 10) + "{3000+}\r\n" + strings.Repeat(long, 10) + "\r\nb ECHO 4\r\n")
	c.want(`refused 1 "a ECHO {30" [limits] command`, `b "4"`)
	// A refused literal of any size costs nothing.
	c.send("a ECHO {10000000+}\r\n")
	c.want(`refused 2 "a ECHO {10" [limits] literal`)
	c.send(strings.Repeat("y", 9_000_000))
	eventually(t, "the literal is dropped as it comes", func() bool { return s.Stats().ExtraBytes < 1000 })
	c.send(strings.Repeat("y", 1_000_000) + "\r\nb ECHO 5\r\n")
	c.want(`b "5"`)
	if n := s.Stats().RefusedInput; n != 7 {
		t.Errorf("%d refusals counted", n)
	}
}

func TestCloseFlushesAndSendsNoMore(t *testing.T) {
	c := startServer(t, Config{}, nil).dial(t)
	c.send("a BYE\r\nb ECHO not answered\r\n" + strings.Repeat("z", 100_000))
	c.want("a bye")
	c.wantEnd()
}

func TestSlowReaderHoldsNoWorker(t *testing.T) {
	s := startServer(t, Config{Workers: 1}, nil)
	slow, fast := s.dial(t), s.dial(t)
	const n = 20 << 20
	slow.send(fmt.Sprintf("a SPEW %d\r\nb RUN after\r\n", n))
	eventually(t, "the command waits for its client", func() bool { return s.Stats().Waiting == 1 })
	for range 100 {
		fast.send("x RUN 1\r\n")
		fast.want(`x ran "1"`)
	}
	if _, err := io.CopyN(io.Discard, slow.r, n); err != nil {
		t.Fatal(err)
	}
	slow.want(`a ran "20971520"`, `b ran "after"`)
}

func TestLargeWrite(t *testing.T) {
	for _, cmd := range []string{"BULK", "PARTS"} {
		t.Run(cmd, func(t *testing.T) { testLargeWrite(t, cmd) })
	}
}

func testLargeWrite(t *testing.T, cmd string) {
	s := startServer(t, Config{Workers: 1}, nil)
	c, other := s.dial(t), s.dial(t)
	const n = 20 << 20
	c.send(fmt.Sprintf("a %s %d\r\nb ECHO next\r\n", cmd, n))
	c.want("bulk")
	eventually(t, "the command waits for its client", func() bool { return s.Stats().Waiting == 1 })
	other.send("x RUN 1\r\n")
	other.want(`x ran "1"`)
	got := make([]byte, n)
	if _, err := io.ReadFull(c.r, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, bytes.Repeat([]byte("0123456789abcdef"), n/16)) {
		t.Error("output is damaged")
	}
	c.want(`a ran "20971520"`, `b "next"`)
}

func TestClientThatDoesNotReadIsDropped(t *testing.T) {
	for _, cmd := range []string{"SPEW", "BULK", "PARTS"} {
		t.Run(cmd, func(t *testing.T) { testClientThatDoesNotRead(t, cmd) })
	}
}

func testClientThatDoesNotRead(t *testing.T, cmd string) {
	clock := newClock()
	s := startServer(t, Config{Workers: 1, SlowClientTimeout: 10 * time.Second}, clock.now)
	slow := s.dial(t)
	slow.send("a " + cmd + " 20000000\r\n")
	eventually(t, "the command waits for its client", func() bool { return s.Stats().Waiting == 1 })
	clock.advance(s, 9*time.Second)
	if s.Stats().Sessions != 1 {
		t.Error("dropped too early")
	}
	clock.advance(s, 2*time.Second)
	eventually(t, "the client is dropped", func() bool { return s.Stats().Sessions == 0 && s.Stats().DroppedSlow == 1 })
}

func TestOutputOfTheLoopIsBounded(t *testing.T) {
	s := startServer(t, Config{MaxOutput: 100_000}, nil)
	c := s.dial(t)
	c.send("a LOOP 50000000\r\n")
	eventually(t, "the session is dropped", func() bool { return s.Stats().Sessions == 0 && s.Stats().DroppedOutput == 1 })
}

func TestUnsentOutputSleepsAndHoldsInputBack(t *testing.T) {
	s := startServer(t, Config{MaxOutput: 100 << 20}, nil)
	c := s.dial(t)
	const n = 30 << 20
	c.send(fmt.Sprintf("a LOOP %d\r\nb ECHO next\r\n", n))
	eventually(t, "output is kept, and no worker", func() bool { st := s.Stats(); return st.ExtraBytes > 1<<20 && st.Running+st.Waiting == 0 })
	if _, err := io.CopyN(io.Discard, c.r, n); err != nil {
		t.Fatal(err)
	}
	c.want("a ok", `b "next"`)
	eventually(t, "nothing is left", func() bool { return s.Stats().ExtraBytes == 0 })
}

// TestUnsentOutputOfManyCommandsTakesNoWorker: also what a client has sent so much of at once that a worker answers it.
func TestUnsentOutputOfManyCommandsTakesNoWorker(t *testing.T) {
	s := startServer(t, Config{MaxOutput: 100 << 20}, nil)
	c := s.dial(t)
	const n, many = 30 << 20, 2 * turnCommands
	c.send(strings.Repeat("a ECHO x\r\n", many) + fmt.Sprintf("b LOOP %d\r\nc ECHO next\r\n", n))
	eventually(t, "output is kept, and no worker", func() bool { st := s.Stats(); return st.ExtraBytes > 1<<20 && st.Running+st.Waiting == 0 })
	c.want(slices.Repeat([]string{`a "x"`}, many)...)
	if _, err := io.CopyN(io.Discard, c.r, n); err != nil {
		t.Fatal(err)
	}
	c.want("b ok", `c "next"`)
	eventually(t, "nothing is left", func() bool { return s.Stats().ExtraBytes == 0 })
}

func TestDisconnectCancelsCommand(t *testing.T) {
	s := startServer(t, Config{HangupGrace: time.Millisecond}, nil)
	c := s.dial(t)
	c.send("a HOLD\r\n")
	<-s.toy.started
	c.Close()
	eventually(t, "the session ends", func() bool { return s.Stats().Sessions == 0 })
	s.toy.mu.Lock()
	defer s.toy.mu.Unlock()
	if len(s.toy.causes) != 1 || !errors.Is(s.toy.causes[0], ErrGone) {
		t.Errorf("causes %v", s.toy.causes)
	}
}

// TestHalfClosedClientIsAnswered: a client that has nothing more to send still reads (as in "printf … | nc -N").
func TestHalfClosedClientIsAnswered(t *testing.T) {
	s := startServer(t, Config{HangupGrace: time.Hour}, nil)
	c := s.dial(t)
	c.send("a HOLD\r\nb ECHO 2\r\n")
	<-s.toy.started
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of input is noted", func() bool { return s.hangups() == 1 })
	close(s.toy.release)
	c.want(`a ran ""`, `b "2"`)
	c.wantEnd()
	if len(s.toy.causes) != 0 {
		t.Errorf("the command was cancelled: %v", s.toy.causes)
	}
}

func TestInputBeforeTheEndIsAnswered(t *testing.T) {
	s := startServer(t, Config{}, nil)
	c := s.dial(t)
	c.send("a ECHO 1\r\nb ECHO 2\r\n")
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c.want(`a "1"`, `b "2"`)
	c.wantEnd()
}

func TestTimeout(t *testing.T) {
	clock := newClock()
	s := startServer(t, Config{}, clock.now)
	c, other := s.dial(t), s.dial(t)
	c.send("a LATE 10\r\n")
	c.want("a ok")
	other.send("a LATE 10\r\nb LATE 10000\r\n")
	other.want("a ok", "b ok")
	clock.advance(s, 9*time.Second)
	c.send("b ECHO still here\r\n")
	c.want(`b "still here"`)
	clock.advance(s, 2*time.Second)
	c.want("timeout")
	c.wantEnd()
	for range 10 {
		clock.advance(s, 900*time.Second)
	}
	other.send("c ECHO still here\r\n")
	other.want(`c "still here"`)
	clock.advance(s, 1000*time.Second)
	other.want("timeout")
}

// TestHeldSessionReadsNothing: commands sent meanwhile, whether read already or not, are answered afterwards.
func TestHeldSessionReadsNothing(t *testing.T) {
	clock := newClock()
	s := startServer(t, Config{}, clock.now)
	c := s.dial(t)
	c.send("a WAIT 5\r\nb ECHO 1\r\n")
	c.want("a waits")
	c.send("c RUN 2\r\n")
	quick := s.Stats().Quick
	clock.advance(s, 4*time.Second)
	if n := s.Stats().Quick; n != quick {
		t.Errorf("%d commands were answered while held", n-quick)
	}
	clock.advance(s, 2*time.Second)
	c.want("timeout", `b "1"`, `c ran "2"`)
}

func TestEvents(t *testing.T) {
	s := startServer(t, Config{}, nil)
	var cs []*client
	for i := range 20 {
		c := s.dial(t)
		c.send(fmt.Sprintf("a BOX %d\r\n", 1+i%2))
		c.want("a ok")
		cs = append(cs, c)
	}
	s.SignalMailbox(1)
	for i := 0; i < 20; i += 2 {
		cs[i].want("event 1")
	}
	cs[0].send("a BOX 2\r\n")
	cs[0].want("a ok")
	cs[2].send("a BOX 0\r\n")
	cs[2].want("a ok")
	s.SignalMailbox(2)
	for i := 1; i < 20; i += 2 {
		cs[i].want("event 2")
	}
	cs[0].want("event 2")
	s.quiet(t)
	s.toy.wanted.Store(false)
	s.SignalMailbox(2)
	s.SignalMailbox(3)
	s.toy.wanted.Store(true)
	cs[1].send("a ECHO x\r\n")
	cs[1].want(`a "x"`)
	if n := s.toy.events.Load(); n != 21 {
		t.Errorf("%d events", n)
	}
}

func TestEventDuringCommandComesAfterIt(t *testing.T) {
	s := startServer(t, Config{}, nil)
	c := s.dial(t)
	c.send("a BOX 7\r\nb HOLD\r\n")
	c.want("a ok")
	<-s.toy.started
	s.SignalMailbox(7)
	s.SignalMailbox(7)
	close(s.toy.release)
	c.want(`b ran ""`, "event 7")
	c.send("c ECHO x\r\n")
	c.want(`c "x"`)
}

func TestFullTableSaysSo(t *testing.T) {
	s := startServer(t, Config{MaxSessions: 2}, nil)
	a := s.dial(t)
	s.dial(t)
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, conn)
	c.want("full [limits] max_sessions")
	c.wantEnd()
	if s.Stats().RefusedSessions != 1 {
		t.Error("not counted")
	}
	a.Close()
	eventually(t, "there is room", func() bool { return s.Stats().Sessions == 1 })
	s.dial(t)
}

func TestDrain(t *testing.T) {
	s := startServer(t, Config{}, nil)
	idle, busy := s.dial(t), s.dial(t)
	busy.send("a HOLD\r\n")
	<-s.toy.started
	done := make(chan error)
	go func() { done <- s.Drain(context.Background()) }()
	idle.want("shutdown")
	idle.wantEnd()
	if _, err := net.Dial("tcp", s.addr); err == nil {
		t.Error("still accepting")
	}
	close(s.toy.release)
	busy.want(`a ran ""`, "shutdown")
	busy.wantEnd()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestDrainEndsWithItsContext(t *testing.T) {
	s := startServer(t, Config{}, nil)
	c := s.dial(t)
	c.send("a HOLD\r\n")
	<-s.toy.started
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Drain: %v", err)
	}
	s.Close()
	if len(s.toy.causes) != 1 || !errors.Is(s.toy.causes[0], ErrStopping) {
		t.Errorf("causes %v", s.toy.causes)
	}
}

// hangups returns how many commands run for a client that has closed its sending side.
func (s *server) hangups() (n int) {
	for i := range s.tasks.shards {
		sh := &s.tasks.shards[i]
		sh.mu.Lock()
		for _, w := range sh.m {
			if w.hangup != nil {
				n++
			}
		}
		sh.mu.Unlock()
	}
	return n
}

package session

import (
	"context"
	"crypto/tls"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// message returns n octets that look like commands and literals.
func message(n int) string {
	return strings.Repeat("x SPOOL {5}\r\n\x00\n{7+}\r\n", n/21+1)[:n]
}

// answer is what SPOOL answers to a command with literals, whose announcements stand in the form "{%d}".
func answer(cmd string, bodies ...string) []string {
	sizes := make([]any, len(bodies))
	for i, b := range bodies {
		sizes[i] = len(b)
	}
	want := []string{fmt.Sprintf("spooled %q", fmt.Sprintf(cmd, sizes...))}
	for _, b := range bodies {
		want = append(want, fmt.Sprintf("%d %d %08x <nil>", len(b), len(b), crc32.ChecksumIEEE([]byte(b))))
	}
	return want
}

// fill puts bodies in the places of "#" behind announcements "{%d+}".
func fill(cmd string, bodies ...string) string {
	parts := strings.Split(cmd, "#")
	var b strings.Builder
	for i, p := range parts {
		if i < len(bodies) {
			fmt.Fprintf(&b, p, len(bodies[i]))
			b.WriteString(bodies[i])
		} else {
			b.WriteString(p)
		}
	}
	return b.String()
}

func startSpool(t testing.TB, cfg Config) *server {
	t.Helper()
	if cfg.SpoolDir == "" {
		cfg.SpoolDir = t.TempDir()
	}
	s := startServer(t, cfg, nil)
	t.Cleanup(func() {
		if left, err := os.ReadDir(cfg.SpoolDir); err != nil || len(left) > 0 {
			t.Errorf("%v is left in the spool directory, %v", left, err)
		}
	})
	return s
}

// empty waits until nothing is spooled.
func (s *server) empty(t testing.TB) {
	t.Helper()
	eventually(t, "nothing is spooled", func() bool { st := s.Stats(); return st.Spools == 0 && st.SpoolBytes == 0 && st.SpoolMemory == 0 })
}

func (s *server) dialUser(t testing.TB) *client {
	t.Helper()
	c := s.dial(t)
	c.send("x LOGIN\r\n")
	c.want("x ok")
	return c
}

// TestBodiesInPieces: how the stream is cut changes nothing, whether bodies are kept, in memory or in a file.
func TestBodiesInPieces(t *testing.T) {
	big, small := message(40), message(9)
	const two = "a SPOOL ({%d+}\r\n#) {%d+}\r\n# and {%d+}\r\n# x\r\n"
	stream := fill(two, big, small, big[:11]) + "b ECHO {3+}\r\n{1}\r\n" + fill("c SPOOL {%d+}\r\n#\r\n", big) + "d ECHO x\r\n"
	want := answer("a SPOOL ({%d+}\r\n#) {%d+}\r\n# and {%d+}\r\n# x\r\n", big, small, big[:11])
	want = append(want, `b "{3+}\r\n{1}"`)
	want = append(want, answer("c SPOOL {%d+}\r\n#\r\n", big)...)
	want = append(want, `d "x"`)
	for _, cfg := range []Config{{SpoolAbove: 1}, {SpoolAbove: 10}, {SpoolAbove: 12}, {SpoolAbove: 100}, {SpoolAbove: 1, SpoolMemory: 1 << 20}, {SpoolAbove: 10, SpoolMemory: 11 * memoryShare}, {SpoolAbove: 10, SpoolMemory: 1 << 20}} {
		s := startSpool(t, cfg)
		c := s.dialUser(t)
		for size := 1; size <= len(stream); size += 1 + size/20 {
			for rest := stream; rest != ""; {
				n := min(size, len(rest))
				c.send(rest[:n])
				rest = rest[n:]
			}
			c.want(want...)
		}
		s.empty(t)
	}
}

// TestBodiesInMemory: bodies above SpoolAbove are in memory, one with at most its share, while there is some. Files and their limits are not touched.
func TestBodiesInMemory(t *testing.T) {
	s := startSpool(t, Config{SpoolAbove: 100, SpoolMemory: memoryShare * 2 * memoryPiece, MaxSpoolFiles: 1})
	whole, more := message(2*memoryPiece), message(2*memoryPiece+1)
	clients := make([]*client, memoryShare)
	for i := range clients {
		clients[i] = s.dialUser(t)
		clients[i].send(fmt.Sprintf("a SPOOL {%d}\r\n", len(whole)-i))
		clients[i].want("+ OK")
		clients[i].send(whole[:1000*i]) // they hold what they have announced
	}
	if st := s.Stats(); st.SpoolMemory != memoryShare*2*memoryPiece || st.Spools != 0 || st.SpoolBytes != 0 {
		t.Errorf("%+v", st)
	}
	other := s.dialUser(t)
	other.send("b SPOOL {101}\r\n")
	other.want("+ OK")
	if st := s.Stats(); st.SpoolMemory != memoryShare*2*memoryPiece || st.Spools != 1 || st.SpoolBytes != 101 {
		t.Errorf("without memory: %+v", st)
	}
	other.send(whole[:101] + "\r\n")
	other.want(answer("b SPOOL {%d}\r\n#\r\n", whole[:101])...)
	for i, c := range clients {
		body := whole[:len(whole)-i]
		c.send(body[1000*i:] + "\r\n")
		c.want(answer("a SPOOL {%d}\r\n#\r\n", body)...)
	}
	s.empty(t)
	other.send(fmt.Sprintf("c SPOOL {%d}\r\n", len(more)))
	other.want("+ OK")
	if st := s.Stats(); st.SpoolMemory != 0 || st.Spools != 1 {
		t.Errorf("more than its share: %+v", st)
	}
	other.send(more + fmt.Sprintf(" {%d}\r\n", len(whole)))
	other.want("+ OK")
	other.send(whole + "\r\n") // in memory behind one in a file
	other.want(answer("c SPOOL {%d}\r\n# {%d}\r\n#\r\n", more, whole)...)
	s.empty(t)
}

// TestBodyMemoryIsNotReadLater: who still has a reader of a body sees nothing of those that have its memory now.
func TestBodyMemoryIsNotReadLater(t *testing.T) {
	pool := &spoolMemory{max: 1 << 20}
	m := pool.take(10)
	m.write([]byte("0123456789"))
	r := &memoryReader{m: m}
	b := make([]byte, 4)
	if n, err := r.Read(b); string(b[:n]) != "0123" || err != nil {
		t.Fatalf("%q, %v", b[:n], err)
	}
	m.release()
	other := pool.take(10)
	other.write([]byte("abcdefghij"))
	if n, err := r.Read(b); n != 0 || err == nil || err == io.EOF {
		t.Errorf("%q, %v", b[:n], err)
	}
	if got, err := io.ReadAll(&memoryReader{m: other}); string(got) != "abcdefghij" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestBodiesThatAreAskedFor(t *testing.T) {
	s := startSpool(t, Config{SpoolAbove: 100, Workers: 1})
	c := s.dialUser(t)
	big, small := message(1<<20), message(100)
	c.send(fmt.Sprintf("a SPOOL {%d}\r\n", len(big)))
	c.want("+ OK")
	if st := s.Stats(); st.Spools != 1 || st.SpoolBytes != 1<<20 {
		t.Errorf("%+v", st)
	}
	c.send(big + fmt.Sprintf(" {%d}\r\n", len(small)))
	c.want("+ OK")
	c.send(small + " {0}\r\n")
	c.want("+ OK")
	c.send(fmt.Sprintf(" {%d}\r\n", len(big)))
	c.want("+ OK")
	c.send(big + "\r\nb ECHO behind\r\n")
	c.want(answer("a SPOOL {%d}\r\n# {%d}\r\n# {%d}\r\n# {%d}\r\n#\r\n", big, small, "", big)...)
	c.want(`b "behind"`)
	s.empty(t)
}

func TestBodiesOverTLS(t *testing.T) {
	s, imaps := startTLSServer(t, Config{SpoolDir: t.TempDir(), SpoolAbove: 1000, SpoolMemory: 1 << 20, Workers: 1}, nil)
	nc, err := tls.Dial("tcp", imaps, clientTLS(tls.VersionTLS13))
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, nc)
	big := message(3 << 20)
	c.send("x LOGIN\r\n" + fill("a SPOOL {%d+}\r\n#{%d+}\r\n#\r\n", big, big[:77777]) + "b ECHO behind\r\n")
	c.want("hello", "x ok")
	c.want(answer("a SPOOL {%d+}\r\n#{%d+}\r\n#\r\n", big, big[:77777])...)
	c.want(`b "behind"`)
	s.empty(t)
}

func TestSpoolLimits(t *testing.T) {
	s := startSpool(t, Config{SpoolAbove: 10, MaxMessage: 1000, MaxSpool: 1500, MaxSpoolFiles: 2, MaxLineUnauth: 90, MaxLine: 90, MaxCommand: 109})
	c := s.dialUser(t)
	m := message(1001)
	c.send("a SPOOL {1001}\r\nb ECHO 1\r\n")
	c.want(`refused 3 "a SPOOL {1" [limits] message`, `b "1"`)
	c.send(fill("a SPOOL {%d+}\r\n# {5+}\r\n12345\r\nb ECHO 2\r\n", m))
	c.want(`refused 3 "a SPOOL {1" [limits] message`, `b "2"`)
	// all bodies of a command count
	c.send(fill("a SPOOL {%d+}\r\n# {%d+}\r\n# {%d+}\r\n#\r\nb ECHO 3\r\n", m[:1000], m[:500], m[:11]))
	c.want(`refused 4 "a SPOOL {1" [limits] spool`, `b "3"`)
	s.empty(t)
	// those that are kept in memory count as the command, which the last one does not fit
	six := "a SPOOL " + strings.Repeat("{%d+}\r\n#", 6) + "\r\n"
	c.send(fill(six, m[:10], m[1:11], m[2:12], m[3:13], m[4:14], m[5:15]))
	c.want(answer(six, m[:10], m[1:11], m[2:12], m[3:13], m[4:14], m[5:15])...)
	c.send("a SPOOL {500}\r\n")
	c.want("+ OK")
	c2, c3 := s.dialUser(t), s.dialUser(t)
	c2.send("a SPOOL {500}\r\n")
	c2.want("+ OK")
	c3.send("a SPOOL {20}\r\nb SPOOL {10}\r\n")
	c3.want(`refused 4 "a SPOOL {2" [limits] spool_files`, "+ OK")
	c3.send("0123456789\r\n")
	c3.want(answer("b SPOOL {%d}\r\n#\r\n", "0123456789")...)
	c2.send("12345")
	c2.Close()
	eventually(t, "the aborted body is given back", func() bool { return s.Stats().Spools == 1 && s.Stats().SpoolBytes == 500 })
	c3.send("c SPOOL {20}\r\n")
	c3.want("+ OK")
	c.send(m[:500] + strings.Repeat(" ", 200) + "\r\nb ECHO 5\r\n")
	c.want(`refused 0 "a SPOOL {5" [limits] line`, `b "5"`)
	c3.send(m[:20] + "\r\n")
	c3.want(answer("c SPOOL {%d}\r\n#\r\n", m[:20])...)
	s.empty(t)
	if st := s.Stats(); st.RefusedSpool != 2 || st.RefusedInput != 3 {
		t.Errorf("%d, %d refusals counted", st.RefusedSpool, st.RefusedInput)
	}
	c.send("a SPOOL {3}\r\n")
	c.want("+ OK")
	unknown := s.dial(t)
	unknown.send("a SPOOL {4097}\r\n")
	unknown.want(`refused 2 "a SPOOL {4" [limits] unauthenticated_literal`)
}

func TestRefusedMiddleBody(t *testing.T) {
	s := startSpool(t, Config{SpoolAbove: 20})
	c := s.dialUser(t)
	m := message(50)
	for range 3 {
		c.send(fill("a SPOOLBAD {%d+}\r\n# {%d+}\r\n# {%d+}\r\n#\r\nb ECHO 1\r\n", m, m[:13], m))
		c.want("refused behind 1", `b "1"`)
		c.send("a SPOOLBAD {50}\r\n")
		c.want("+ OK")
		c.send(m + " {13}\r\nb ECHO 2\r\n") // the client was not asked for it, and goes on
		c.want("refused behind 1", `b "2"`)
	}
	s.empty(t)
}

func TestLiteralDecidedByWorker(t *testing.T) {
	s := startSpool(t, Config{SpoolAbove: 20})
	c := s.dialUser(t)
	m := message(50)
	c.send("a SPOOLASK {50}\r\n")
	<-s.toy.started
	gone := s.dialUser(t)
	gone.send("a SPOOLASK {50+}\r\nxyz")
	<-s.toy.started
	gone.Conn.(*net.TCPConn).SetLinger(0)
	gone.Close()
	eventually(t, "a client that went ends the question", func() bool { return s.Stats().Sessions == 1 })
	close(s.toy.release)
	c.want("+ OK")
	c.send(m + fill(" {%d+}\r\n#{%d+}\r\n#\r\nb ECHO 1\r\n", m, m[:5]))
	c.want(answer("a SPOOLASK {%d}\r\n# {%d+}\r\n#{%d+}\r\n#\r\n", m, m, m[:5])...)
	c.want(`b "1"`)
	c.send(fill("a SPOOLASK {%d+}\r\n# {%d+}\r\n# {%d+}\r\n#\r\nb ECHO 2\r\n", m, m[:13], m))
	c.want("refused by a worker", `b "2"`)
	c.send("a SPOOLASK {13}\r\nb ECHO 3\r\n")
	c.want("refused by a worker", `b "3"`)
	s.empty(t)
}

func TestSpoolThatCanNotBeWritten(t *testing.T) {
	dir := t.TempDir() + "/spool"
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, Config{SpoolAbove: 20, SpoolDir: dir}, nil)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	c := s.dialUser(t)
	m := message(1 << 20)
	c.send(fill("a SPOOL {%d+}\r\n# {%d+}\r\n#\r\nb ECHO 1\r\n", m, m[:100]))
	c.want(`refused 5 "a SPOOL {1" [limits] spool_dir`, `b "1"`)
	c.send("a SPOOL {1000}\r\n")
	c.want("+ OK")
	c.send("123")
	c.want(`refused 5 "a SPOOL {1" [limits] spool_dir`)
	c.send(m[3:1000] + "\r\nb ECHO 2\r\n")
	c.want(`b "2"`)
	s.empty(t)
	if n := s.Stats().FailedSpool; n != 2 {
		t.Errorf("%d failures counted", n)
	}
}

func TestSpoolDirIsChecked(t *testing.T) {
	if e, err := New(Config{SpoolDir: t.TempDir() + "/gone"}, newToy(), slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), "[limits] spool_dir: ") {
		e.Close()
		t.Errorf("New: %v", err)
	}
}

// TestSpoolFileHasNoName: with O_TMPFILE and without.
func TestSpoolFileHasNoName(t *testing.T) {
	dir := t.TempDir()
	p := spools{dir: dir}
	for _, create := range []func() (*os.File, error){p.create, p.createNamed} {
		f, err := create()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%v is left, %v", left, err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); info.Mode() != 0o600 || st.Nlink != 0 {
			t.Errorf("mode %v, %d names", info.Mode(), st.Nlink)
		}
	}
}

// TestSlowBodyHoldsNoWorker: a worker has a session only while there is something to write.
func TestSlowBodyHoldsNoWorker(t *testing.T) {
	s := startSpool(t, Config{Workers: 1, SpoolAbove: 100})
	slow, fast := s.dialUser(t), s.dialUser(t)
	m := message(500)
	slow.send("a SPOOL {500}\r\n")
	slow.want("+ OK")
	for i := range 500 {
		slow.send(m[i : i+1])
		fast.send("x RUN 1\r\n")
		fast.want(`x ran "1"`)
	}
	s.quiet(t)
	if st := s.Stats(); st.Running != 0 || st.Waiting != 0 || st.Spools != 1 {
		t.Errorf("%+v", st)
	}
	slow.send("\r\n")
	slow.want(answer("a SPOOL {%d}\r\n#\r\n", m)...)
}

// TestStalledBodyIsDropped: a body that does not go on gives back its room.
func TestStalledBodyIsDropped(t *testing.T) {
	clock := newClock()
	s := startServer(t, Config{SpoolAbove: 10, SpoolDir: t.TempDir(), SlowClientTimeout: 10 * time.Second}, clock.now)
	c, small, slow := s.dialUser(t), s.dialUser(t), s.dialUser(t)
	small.send("a SPOOL {5}\r\n")
	small.want("+ OK")
	c.send("a SPOOL {20}\r\n")
	c.want("+ OK")
	slow.send("a SPOOL {11}\r\n")
	slow.want("+ OK")
	for i := range 10 {
		clock.advance(s, 9*time.Second)
		c.send("x")
		eventually(t, "it is read", s.heard)
		if i == 0 && s.Stats().DroppedSlow != 0 {
			t.Error("dropped too early")
		}
		s.quiet(t)
	}
	slow.wantEnd()
	eventually(t, "the slow one is gone", func() bool { return s.Stats().Sessions == 2 })
	if st := s.Stats(); st.DroppedSlow != 1 || st.SpoolBytes != 20 {
		t.Errorf("%+v", st)
	}
	c.send("0123456789\r\nb ECHO 1\r\n")
	c.want(answer("a SPOOL {%d}\r\n#\r\n", "xxxxxxxxxx0123456789")...)
	c.want(`b "1"`)
	s.quiet(t)
	clock.advance(s, 60*time.Second)
	c.send("b ECHO 2\r\n")
	c.want(`b "2"`)
	small.send("12345\r\n") // what is in memory takes nobody's room
	small.want(answer("a SPOOL {%d}\r\n#\r\n", "12345")...)
}

// heard reports whether a sleeping session has got input in this second.
func (s *server) heard() (ok bool) {
	now := s.timeOf(s.seconds())
	s.Each(func(i Info) bool {
		ok = !i.Busy && i.Received.Equal(now)
		return !ok
	})
	return ok
}

// TestAbortedBodies ends sessions at every byte of a command with bodies.
func TestAbortedBodies(t *testing.T) {
	for _, memory := range []int64{0, 1 << 20} {
		t.Run(fmt.Sprint(memory), func(t *testing.T) { abortBodies(t, memory) })
	}
}

func abortBodies(t *testing.T, memory int64) {
	s := startSpool(t, Config{Workers: 2, SpoolAbove: 10, SpoolMemory: memory, HangupGrace: time.Millisecond})
	m := message(30)
	stream := fill("a SPOOLHOLD {%d+}\r\n# {%d+}\r\n# {%d+}\r\n#\r\n", m, m[:5], m)
	for n := range len(stream) + 1 {
		c := s.dialUser(t)
		c.send(stream[:n])
		if n%3 == 0 { // seen by the server before the end
			eventually(t, "the session has read it", func() bool { return s.Stats().Extras > 0 || n == 0 || n == len(stream) })
		}
		if n%2 == 0 {
			c.Conn.(*net.TCPConn).SetLinger(0) // a reset
		}
		c.Close()
	}
	eventually(t, "all sessions end", func() bool { return s.Stats().Sessions == 0 })
	s.empty(t)
}

// TestShutdownWithBodies: Drain and Close give back what is half-received.
func TestShutdownWithBodies(t *testing.T) {
	for _, drain := range []bool{true, false} {
		s := startSpool(t, Config{SpoolAbove: 10, SpoolMemory: memoryShare * memoryPiece})
		a, b := s.dialUser(t), s.dialUser(t)
		a.send(fmt.Sprintf("a SPOOL {%d}\r\n", memoryPiece+1))
		a.want("+ OK")
		a.send("123456")
		b.send(fill("a SPOOL {%d+}\r\n# {%d+}\r\n# {", message(2*memoryPiece), message(2000)))
		eventually(t, "both are spooled", func() bool { st := s.Stats(); return st.SpoolBytes == 3*memoryPiece+1 && st.SpoolMemory == memoryPiece })
		if drain {
			if err := s.Drain(context.Background()); err != nil {
				t.Fatal(err)
			}
			a.want("shutdown")
			a.wantEnd()
			s.empty(t)
		}
		s.Close()
		s.empty(t)
	}
}

// TestManyHalfBodies: a session in the middle of a body costs no buffer.
func TestManyHalfBodies(t *testing.T) {
	const n = 1000
	s := startSpool(t, Config{Workers: 4, MaxSpoolFiles: n, MaxSpool: n << 20})
	before := openFiles(t)
	heap := func() uint64 {
		runtime.GC()
		runtime.GC() // what finalizers and pools have kept
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	half := message(500_000)
	fds := make([]int, n)
	for i := range fds {
		fds[i] = dialRaw(t, s)
		defer func() { closeRaw(fds[i]) }()
	}
	empty := heap()
	for _, fd := range fds {
		all := []byte("x LOGIN\r\na SPOOL {1048576+}\r\n" + half)
		for len(all) > 0 {
			w, err := unix.Write(fd, all)
			if err != nil {
				t.Fatal(err)
			}
			all = all[w:]
		}
	}
	eventually(t, "all of it is in files", func() bool {
		st := s.Stats()
		return st.Spools == n && st.SpoolBytes == n<<20 && st.Queued == 0 && st.Running == 0
	})
	s.quiet(t)
	grown, extra := int64(heap()-empty)/n, s.Stats().ExtraBytes/n
	t.Logf("%d bytes of heap per session, %d of these in its extra; %d descriptors for %d sessions", grown, extra, openFiles(t)-before, n)
	if extra > 1000 || grown > 4000 {
		t.Errorf("too much memory")
	}
}

package session

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestStorm lets many clients do everything at once: pipelines on loop and worker, literals in pieces, bodies in files, large
// output read slowly, mailbox events, deadlines, STARTTLS, COMPRESS, and disconnections at any time. Every
// answer must come, once, in order, and on the connection that asked.
func TestStorm(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s, imaps := startTLSServer(t, Config{Workers: 3, MaxLiteralUnauth: 1 << 20, MaxCommand: 2 << 20, MaxHandshakes: 4, SpoolDir: t.TempDir(), SpoolAbove: 5000, SpoolMemory: 1 << 20}, nil)
	var stop atomic.Bool
	var noise, clients sync.WaitGroup
	noise.Go(func() {
		for i := uint32(0); !stop.Load(); i++ {
			s.SignalMailbox(i % 4)
			s.Each(func(i Info) bool { return i.Busy || i.Remote.IsValid() })
			runtime.Gosched()
		}
	})
	for g := range 24 {
		clients.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(g)))
			for conn := range 8 {
				if err := stormClient(s, imaps, rnd, fmt.Sprintf("%d.%d", g, conn)); err != nil {
					t.Errorf("client %d.%d: %v", g, conn, err)
					return
				}
			}
		})
	}
	clients.Wait()
	stop.Store(true)
	noise.Wait()
	eventually(t, "all sessions end", func() bool { return s.Stats().Sessions == 0 })
	if st := s.Stats(); st.Spools != 0 || st.SpoolBytes != 0 {
		t.Errorf("%+v", st)
	}
}

// stormClient is one connection: it sends commands from one goroutine and checks the answers in another.
func stormClient(s *server, imaps string, rnd *rand.Rand, name string) error {
	kind := rnd.IntN(4)
	c, err := net.Dial("tcp", map[bool]string{false: s.addr, true: imaps}[kind == 0])
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	if kind == 1 {
		io.WriteString(c, "a TLS\r\n")
		var answer [13]byte // "hello" and "a ok"
		if _, err := io.ReadFull(c, answer[:]); err != nil {
			return err
		}
	}
	var rw net.Conn = c
	if kind <= 1 {
		rw = tls.Client(dribble{c, rand.New(rand.NewPCG(rnd.Uint64(), 0))}, clientTLS(tls.VersionTLS12+uint16(rnd.IntN(2))))
	}
	if kind != 1 {
		var hello [7]byte
		if _, err := io.ReadFull(rw, hello[:]); err != nil {
			return err
		}
	}
	if rnd.IntN(2) == 0 {
		if rw, err = stormStream(rw, rnd); err != nil {
			return err
		}
	}
	abort := rnd.IntN(3) == 0 // goes without a word, in the middle of something
	want := make(chan string, 1000)
	var send strings.Builder
	send.WriteString(fmt.Sprintf("b BOX %d\r\nl LATE 1000\r\n", rnd.IntN(4)))
	want <- "b ok"
	want <- "l ok"
	for i := range rnd.IntN(60) {
		tag := fmt.Sprintf("%s.%d", name, i)
		switch rnd.IntN(6) {
		case 0:
			send.WriteString(tag + " RUN x\r\n")
			want <- tag + ` ran "x"`
		case 1:
			n := 1 + rnd.IntN(20_000)
			send.WriteString(fmt.Sprintf("%s ECHO {%d+}\r\n%s\r\n", tag, n, strings.Repeat("y", n)))
			want <- fmt.Sprintf(`%s "{%d+}\r\n%s"`, tag, n, strings.Repeat("y", n))
		case 2:
			send.WriteString(fmt.Sprintf("%s LOOP %d\r\n", tag, 10_000))
			want <- strings.Repeat("x", 10_000) + tag + " ok"
		case 3:
			bodies := []string{message(1 + rnd.IntN(20_000)), message(1 + rnd.IntN(20_000))}
			send.WriteString(fill(tag+" SPOOL {%d+}\r\n# {%d+}\r\n#\r\n", bodies...))
			for _, w := range answer(tag+" SPOOL {%d+}\r\n# {%d+}\r\n#\r\n", bodies...) {
				want <- w
			}
		default:
			send.WriteString(tag + " ECHO x\r\n")
			want <- tag + ` "x"`
		}
	}
	if !abort {
		send.WriteString("z BYE\r\n")
		want <- "z bye"
	}
	close(want)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		all := send.String()
		if abort {
			all = all[:len(all)*3/4]
		}
		io.WriteString(dribble{rw, rand.New(rand.NewPCG(1, 2))}, all) // an error shows in what is read
		if abort {
			c.Close()
		}
	}()
	err = readAnswers(bufio.NewReader(rw), want)
	if abort && !errors.Is(err, errWrongAnswer) {
		err = nil // it ended somewhere
	}
	c.Close()
	<-sent
	return err
}

var errWrongAnswer = errors.New("wrong answer")

// readAnswers reads the wanted lines; events may come between them.
func readAnswers(r *bufio.Reader, want <-chan string) error {
	for w := range want {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return err
			}
			line = strings.TrimRight(line, "\r\n")
			if strings.HasPrefix(line, "event ") {
				continue
			}
			if line != w {
				return fmt.Errorf("%w: got %.100q, want %.100q", errWrongAnswer, line, w)
			}
			break
		}
	}
	return nil
}

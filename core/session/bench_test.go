package session

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// roundTrip sends cmd and reads the answer, a line of 4 bytes.
func roundTrip(b testing.TB, c net.Conn, cmd, buf []byte) {
	if _, err := c.Write(cmd); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(c, buf[:4]); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCommand is a command and its answer, one at a time, over loopback with a Go client.
func BenchmarkCommand(b *testing.B) {
	for _, tlsOn := range []bool{false, true} {
		for _, cmd := range []string{"NOOP", "WORK"} {
			for _, conns := range []int{1, 10} {
				where := map[string]string{"NOOP": "loop", "WORK": "worker"}[cmd]
				b.Run(fmt.Sprintf("%s/tls=%v/conns=%d", where, tlsOn, conns), func(b *testing.B) {
					benchmarkCommand(b, tlsOn, cmd+"\r\n", conns)
				})
			}
		}
	}
}

func benchmarkCommand(b *testing.B, tlsOn bool, cmd string, conns int) {
	s, imaps := startTLSServer(b, Config{SpoolMemory: 8 << 20}, nil)
	cs := make([]net.Conn, conns)
	for i := range cs {
		raw, err := net.Dial("tcp", map[bool]string{false: s.addr, true: imaps}[tlsOn])
		if err != nil {
			b.Fatal(err)
		}
		if tlsOn {
			raw = tls.Client(raw, clientTLS(tls.VersionTLS13))
		}
		newClient(b, raw).want("hello")
		cs[i] = raw
	}
	b.ReportAllocs()
	b.ResetTimer()
	done := make(chan struct{})
	for i, c := range cs {
		n := b.N / conns
		if i < b.N%conns {
			n++
		}
		go func() {
			buf, cmd := make([]byte, 4), []byte(cmd)
			for range n {
				roundTrip(b, c, cmd, buf)
			}
			done <- struct{}{}
		}()
	}
	for range cs {
		<-done
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commands/s")
}

// BenchmarkExtra is a command and its answer on the loop, of a session with something beside its record: rare state of the protocol, and a
// compressed stream with a full window.
func BenchmarkExtra(b *testing.B) {
	begin := map[string]func(c *client){
		"state": func(c *client) {
			c.send("a KEEP " + strings.Repeat("x", 60) + "\r\n")
			c.want("a ok")
		},
		"compressed": func(c *client) {
			c.compress("ZIP")
			c.send(fmt.Sprintf("a SUM {50000+}\r\n%s\r\n", message(50000)))
			if _, err := c.r.ReadString('\n'); err != nil {
				b.Fatal(err)
			}
		},
	}
	for name, begin := range begin {
		b.Run(name, func(b *testing.B) {
			c := startMovable(b, Config{}, newKeeper(b), nil, nil).dial(b)
			begin(c)
			b.ReportAllocs()
			for b.Loop() {
				c.send("a ECHO x\r\n")
				c.want(`a "x"`)
			}
		})
	}
}

// BenchmarkPipelined is commands answered on the loop, 100 in flight.
func BenchmarkPipelined(b *testing.B) {
	s := startServer(b, Config{}, nil)
	c := s.dial(b)
	batch := []byte(strings.Repeat("NOOP\r\n", 100))
	buf := make([]byte, 400)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += 100 {
		if _, err := c.Write(batch); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c.r, buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAccept is a connection, its greeting, and its end.
func BenchmarkAccept(b *testing.B) {
	s := startServer(b, Config{}, nil)
	buf := make([]byte, 7)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c, err := net.Dial("tcp", s.addr)
			if err != nil {
				b.Error(err)
				return
			}
			c.(*net.TCPConn).SetLinger(0) // no TIME_WAIT: the ports are used again
			if _, err := io.ReadFull(c, buf); err != nil {
				b.Error(err)
			}
			c.Close()
		}
	})
}

// BenchmarkTransfer is 8 MiB by a worker, in pieces of 8 KiB or in one.
func BenchmarkTransfer(b *testing.B) {
	for _, cmd := range []string{"SPEW", "BULK"} {
		for _, tlsOn := range []bool{false, true} {
			pieces := map[string]string{"SPEW": "8KiB", "BULK": "8MiB"}[cmd]
			b.Run(fmt.Sprintf("write=%s/tls=%v", pieces, tlsOn), func(b *testing.B) { benchmarkTransfer(b, cmd, tlsOn) })
		}
	}
}

func benchmarkTransfer(b *testing.B, cmd string, tlsOn bool) {
	s, imaps := startTLSServer(b, Config{SpoolMemory: 8 << 20}, nil)
	raw, err := net.Dial("tcp", map[bool]string{false: s.addr, true: imaps}[tlsOn])
	if err != nil {
		b.Fatal(err)
	}
	if tlsOn {
		raw = tls.Client(raw, clientTLS(tls.VersionTLS13))
	}
	newClient(b, raw).want("hello")
	const n = 8 << 20
	extra := len("a ran \"8388608\"\r\n")
	if cmd == "BULK" {
		extra += len("bulk\r\n")
	}
	buf := make([]byte, 256<<10)
	b.SetBytes(n)
	b.ReportAllocs()
	for b.Loop() {
		fmt.Fprintf(raw, "a %s %d\r\n", cmd, n)
		for left := n + extra; left > 0; {
			m, err := raw.Read(buf[:min(left, len(buf))])
			if err != nil {
				b.Fatal(err)
			}
			left -= m
		}
	}
}

// BenchmarkAppend is a command with one body, in memory or in a file, that is read once.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{4 << 10, 60 << 10, 100 << 10, 16 << 20} {
		for _, tlsOn := range []bool{false, true} {
			b.Run(fmt.Sprintf("bytes=%d/tls=%v", size, tlsOn), func(b *testing.B) {
				s, imaps := startTLSServer(b, Config{SpoolMemory: 8 << 20}, nil)
				raw, err := net.Dial("tcp", map[bool]string{false: s.addr, true: imaps}[tlsOn])
				if err != nil {
					b.Fatal(err)
				}
				if tlsOn {
					raw = tls.Client(raw, clientTLS(tls.VersionTLS13))
				}
				b.Cleanup(func() { raw.Close() })
				cmd := []byte(fmt.Sprintf("x LOGIN\r\na SPOOL {%d+}\r\n%s\r\n", size, message(size)))
				r := bufio.NewReader(raw)
				r.ReadString('\n')
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := raw.Write(cmd); err != nil {
						b.Fatal(err)
					}
					for range 3 {
						if _, err := r.ReadSlice('\n'); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}

// BenchmarkIdle reports what one of 8,000 idle sessions costs in this process. The clients' ends are raw
// descriptors of the same process, which cost no user memory.
func BenchmarkIdle(b *testing.B) {
	const n = 8000
	s := startServer(b, Config{}, nil)
	fds := make([]int, 0, n)
	defer func() {
		for _, fd := range fds {
			closeRaw(fd)
		}
	}()
	runtime.GC()
	before, goroutines := rss(b), runtime.NumGoroutine()
	for range n {
		fds = append(fds, dialRaw(b, s))
	}
	s.quiet(b)
	runtime.GC()
	after := rss(b)
	for b.Loop() {
		s.SignalMailbox(1) // nobody: only the figures matter
	}
	b.ReportMetric(float64(after-before)/n, "rss-B/session")
	b.ReportMetric(float64(s.Stats().SlabBytes)/n, "slab-B/session")
	b.ReportMetric(float64(runtime.NumGoroutine()-goroutines), "goroutines")
}

// rss returns the resident bytes of this process.
func rss(b *testing.B) int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(data))[1], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// BenchmarkFanOut is one event to each of 2,000 sessions of one mailbox, written by workers.
func BenchmarkFanOut(b *testing.B) {
	const n = 2000
	s := startServer(b, Config{}, nil)
	cs := make([]*client, n)
	for i := range cs {
		cs[i] = s.dial(b)
		cs[i].send("a BOX 5\r\n")
	}
	for _, c := range cs {
		c.want("a ok")
	}
	b.ReportAllocs()
	for b.Loop() {
		s.SignalMailbox(5)
		for _, c := range cs {
			c.want("event 5")
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "sessions/s")
}

// TestCommandsDoNotAllocate counts the allocations of the whole process, this client included, which has none.
func TestCommandsDoNotAllocate(t *testing.T) {
	s := startServer(t, Config{}, nil)
	c := s.dial(t)
	buf := make([]byte, 4)
	for cmd, most := range map[string]float64{
		"NOOP\r\n": 0,
		"WORK\r\n": 4, // the context of Protocol.Run
	} {
		cmd := []byte(cmd)
		if n := testing.AllocsPerRun(500, func() { roundTrip(t, c.Conn, cmd, buf) }); n > most {
			t.Errorf("%q: %v allocations, want at most %v", cmd, n, most)
		}
	}
}

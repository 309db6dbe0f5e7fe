package session

import (
	"fmt"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func TestIdleSessionsHaveNoGoroutine(t *testing.T) {
	s := startServer(t, Config{}, nil)
	before := runtime.NumGoroutine()
	const n = 5000
	var cs []*client
	for range n {
		c := s.dial(t)
		c.send("a RUN 1\r\nb BOX 9\r\n") // every one has used a worker
		cs = append(cs, c)
	}
	for _, c := range cs {
		c.want(`a ran "1"`, "b ok")
	}
	eventually(t, "goroutines do not grow with sessions", func() bool {
		return runtime.NumGoroutine() <= before+s.cfg.Workers
	})
	st := s.Stats()
	if st.Sessions != n || st.Extras != 0 || st.ExtraBytes != 0 || st.SlabBytes != 8192*recordSize { // a chunk
		t.Errorf("%d idle sessions: %+v", n, st)
	}
	s.SignalMailbox(9)
	for _, c := range cs {
		c.want("event 9")
	}
	s.quiet(t)
	seen := 0
	s.Each(func(i Info) bool {
		if i.Mailbox == 9 && i.Remote.IsValid() {
			seen++
		}
		return true
	})
	if seen != n {
		t.Errorf("Each shows %d sessions", seen)
	}
}

// TestStaleEventsTouchNobody sends everything that can happen to a session that has ended and whose slot
// and descriptor belong to the next one.
func TestStaleEventsTouchNobody(t *testing.T) {
	s := startServer(t, Config{}, nil)
	var stale []Handle
	for i := range 50 {
		c := s.dial(t)
		c.send(fmt.Sprintf("a BOX %d\r\n", i+1))
		c.want("a ok")
		s.Each(func(info Info) bool {
			stale = append(stale, info.Handle)
			return true
		})
		c.Close()
		eventually(t, "the session ends", func() bool { return s.Stats().Sessions == 0 })
	}
	c := s.dial(t)
	s.quiet(t)
	var live Info
	s.Each(func(info Info) bool { live = info; return true })
	if live.Handle.slot() != stale[0].slot() {
		t.Fatalf("slot %d is not used again: %d", stale[0].slot(), live.Handle.slot())
	}
	for _, h := range append(stale, 0, makeHandle(1<<31, 1), makeHandle(5000, 1)) {
		for _, b := range modelBits {
			if s.signal(h, b) {
				t.Errorf("signal %#x to %#x was taken", b, h)
			}
			for _, l := range s.loops {
				l.do(func() { l.signal(h, b) })
			}
		}
	}
	for i := range 50 {
		s.SignalMailbox(uint32(i + 1))
	}
	c.send("a ECHO x\r\n")
	c.want(`a "x"`)
	if n := s.toy.events.Load(); n != 0 {
		t.Errorf("%d events for nobody", n)
	}
}

func TestOutOfDescriptors(t *testing.T) {
	s := startServer(t, Config{}, nil)
	c := s.dial(t)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	// The client's own socket takes the last descriptor.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	addr := s.sockaddr(t)
	limit := old
	limit.Cur = uint64(highestFile(t) + 1)
	filler := fillFiles(t, int(limit.Cur))
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	if err := unix.Connect(fd, addr); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connection is turned away", func() bool { return s.Stats().RefusedFiles == 1 })
	var b [10]byte
	if n, _ := unix.Read(fd, b[:]); n > 0 {
		t.Errorf("got %q", b[:n])
	}
	c.send("a ECHO x\r\n")
	c.want(`a "x"`)
	for _, f := range filler {
		unix.Close(f)
	}
	unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	s.dial(t)
}

func (s *server) sockaddr(t *testing.T) unix.Sockaddr {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	ap := s.listeners[0].conn.Addr()
	return &unix.SockaddrInet4{Addr: ap.Addr().As4(), Port: int(ap.Port())}
}

// highestFile returns the largest descriptor in use.
func highestFile(t *testing.T) int {
	t.Helper()
	highest := 0
	for fd := range 20000 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			highest = fd
		}
	}
	return highest
}

// fillFiles takes all free descriptors below limit.
func fillFiles(t *testing.T, limit int) (fds []int) {
	t.Helper()
	for {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if fd >= limit {
			unix.Close(fd)
			return fds
		}
		fds = append(fds, fd)
	}
}

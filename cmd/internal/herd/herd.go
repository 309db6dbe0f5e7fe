package herd

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Options say how a herd is opened.
type Options struct {
	Addr    string // of IMAP in plaintext, IPv4
	TLSAddr string // of IMAP with implicit TLS
	TLS     string // "none", "1.2", "1.3", several of these in equal parts as "none+1.3", or "mix": all three; default none
	Users   string // user names, with a verb for the number of the session, such as "u%06d"; without a verb all sessions are of one user
	First   int    // number of the first session
	N       int    // sessions
	Mix     Mix    // zero value: all selected
	Mailbox string // default INBOX
	Clients int    // sessions that are opened at once, default 16
	Network byte   // sessions come from 127.Network.0.0/16, default 10
}

func (o Options) user(i int) string {
	if !strings.Contains(o.Users, "%") {
		return o.Users
	}
	return fmt.Sprintf(o.Users, o.First+i)
}

// version returns the TLS version of session i. The states take turns first, so that sessions of each state have every version.
func (o Options) version(i int) string {
	switch o.TLS {
	case "":
		return "none"
	case "mix":
		o.TLS = "none+1.2+1.3"
	}
	versions := strings.Split(o.TLS, "+")
	return versions[i/max(o.Mix.sum(), 1)%len(versions)]
}

// Herd is open sessions of one process. Its methods must not be called at the same time.
type Herd struct {
	o        Options
	sessions []session
	poller   int
	traffic  traffic
	next     int // of the sessions to wake
	heard    chan Heard
}

// Opened is what Open did.
type Opened struct {
	Sessions int
	Took     time.Duration
}

// Open opens the sessions, every one of which has the password "pass". At the first failure it stops: the error says which
// session failed, at what, and what can be done about it. The herd must be closed in any case.
func Open(o Options) (*Herd, Opened, error) {
	if o.Mix == (Mix{}) {
		o.Mix[Selected] = 1
	}
	if o.Mailbox == "" {
		o.Mailbox = "INBOX"
	}
	if o.Clients == 0 {
		o.Clients = 16
	}
	if o.Network == 0 {
		o.Network = 10
	}
	h := &Herd{o: o, sessions: make([]session, o.N), poller: -1}
	var addrs [2]netip.AddrPort // plaintext, TLS
	var err error
	for i, a := range []string{o.Addr, o.TLSAddr} {
		if a == "" {
			continue
		}
		if addrs[i], err = netip.ParseAddrPort(a); err != nil {
			return h, Opened{}, fmt.Errorf("herd: %w", err)
		}
	}
	if h.poller, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return h, Opened{}, advise("herd: epoll", err)
	}
	start := time.Now()
	var opened atomic.Int64
	err = h.each(o.Clients, func(i int, scratch []byte) error {
		s := &h.sessions[i]
		if err := h.open(s, i, addrs, scratch); err != nil {
			return fmt.Errorf("session %d of %d (%s, %s): %w", i+1, o.N, o.user(i), s.state, err)
		}
		opened.Add(1)
		return nil
	})
	return h, Opened{int(opened.Load()), time.Since(start)}, err
}

func (h *Herd) open(s *session, i int, addrs [2]netip.AddrPort, scratch []byte) (err error) {
	s.state = h.o.Mix.state(i)
	version := h.o.version(i)
	addr := addrs[0]
	if version != "none" {
		addr = addrs[1]
	}
	if s.stream.fd, err = dial(addr, source(h.o.Network, i), socketOptions{tiny: s.state == Unsent}); err != nil {
		s.stream.fd = 0
		return err
	}
	s.stream.wait = true
	if err := s.protect(version); err != nil {
		return err
	}
	if _, err := s.until(&h.traffic, scratch, "* OK"); err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	if s.state != Unauthenticated {
		if err := s.command(&h.traffic, scratch, "LOGIN "+h.o.user(i)+" pass"); err != nil {
			return fmt.Errorf("LOGIN: %w", err)
		}
	}
	if s.state == Selected || s.state == Idle || s.state == HalfCommand || s.state == Compressed {
		if err := s.command(&h.traffic, scratch, "SELECT "+h.o.Mailbox); err != nil {
			return fmt.Errorf("SELECT: %w", err)
		}
	}
	if err := s.settle(&h.traffic, scratch); err != nil {
		return err
	}
	s.stream.wait = false
	// The server watches its end of each connection; that the client does so too makes the kernel's memory for both ends alike.
	err = unix.EpollCtl(h.poller, unix.EPOLL_CTL_ADD, s.stream.fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | epollET, Fd: int32(i)})
	if err != nil {
		return advise("epoll", err)
	}
	return nil
}

const epollET = 1 << 31

// each calls f for every session, clients at a time, until one fails, and returns the first error.
func (h *Herd) each(clients int, f func(i int, scratch []byte) error) error {
	var at atomic.Int64
	var once sync.Once
	var first error
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			scratch := make([]byte, 16<<10)
			for {
				i := int(at.Add(1)) - 1
				if i >= len(h.sessions) {
					return
				}
				if err := f(i, scratch); err != nil {
					once.Do(func() { first = err })
					at.Store(int64(len(h.sessions)))
					return
				}
			}
		})
	}
	wg.Wait()
	return first
}

// Checked is what Check found.
type Checked struct {
	Alive, Lost int
	LostIn      map[string]int // by name of state
	Error       string         // of one of the lost
	In, Out     int64          // bytes that all sessions have received and sent so far
	Took        time.Duration  // until the last session had answered
}

// Check lets every session do what shows that it is alive and what it was: NOOP, or the end of what it was in the midst of. When all
// have answered they are brought to their states again. Those that fail, now or before, are lost, and closed.
func (h *Herd) Check() Checked {
	start := time.Now()
	h.sound(func(s *session, scratch []byte) error { return s.check(&h.traffic, scratch) })
	took := time.Since(start)
	h.sound(func(s *session, scratch []byte) error {
		if s.state == Compressed { // still
			return nil
		}
		return s.settle(&h.traffic, scratch)
	})
	c := Checked{LostIn: map[string]int{}, In: h.traffic.in.Load(), Out: h.traffic.out.Load(), Took: took}
	for i := range h.sessions {
		s := &h.sessions[i]
		if s.err == nil {
			c.Alive++
			continue
		}
		c.Lost++
		c.LostIn[s.state.String()]++
		if c.Error == "" {
			c.Error = fmt.Sprintf("session %d (%s, %s): %v", i+1, h.o.user(i), s.state, s.err)
		}
	}
	return c
}

// sound calls f for every session that is not lost, Options.Clients at a time. Those for which it fails are lost.
func (h *Herd) sound(f func(s *session, scratch []byte) error) {
	_ = h.each(h.o.Clients, func(i int, scratch []byte) error {
		s := &h.sessions[i]
		if s.err == nil && s.stream.fd == 0 {
			s.err = fmt.Errorf("was never open")
		}
		if s.err == nil {
			s.err = f(s, scratch)
		}
		if s.err != nil {
			s.close()
		}
		return nil
	})
}

// Close closes all sessions with a reset.
func (h *Herd) Close() {
	for i := range h.sessions {
		h.sessions[i].close()
	}
	if h.poller >= 0 {
		unix.Close(h.poller)
		h.poller = -1
	}
}

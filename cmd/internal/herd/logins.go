package herd

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// LoggedIn is the result of Logins.
type LoggedIn struct {
	N         int
	Took      time.Duration
	Latencies Latencies // from before connect to after LOGIN's OK
}

// Logins connects, logs in and logs out again for d, o.Clients sessions at once, the users of o taking turns. It ends at the first failure.
func Logins(o Options, d time.Duration) (LoggedIn, error) {
	h := &Herd{o: o}
	name := o.Addr
	if o.TLS != "" && o.TLS != "none" {
		name = o.TLSAddr
	}
	addr, err := netip.ParseAddrPort(name)
	if err != nil {
		return LoggedIn{}, fmt.Errorf("herd: %w", err)
	}
	var at atomic.Int64
	var mu sync.Mutex // guards r and first
	var r LoggedIn
	var first error
	start := time.Now()
	end := start.Add(d)
	var wg sync.WaitGroup
	for range max(o.Clients, 1) {
		wg.Go(func() {
			scratch := make([]byte, 16<<10)
			var l Latencies
			var err error
			for err == nil && time.Now().Before(end) {
				i := int(at.Add(1)) - 1
				var took time.Duration
				if took, err = h.login(addr, i%max(o.N, 1), i, scratch); err == nil {
					l = append(l, took)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			r.Latencies = append(r.Latencies, l...)
			if first == nil {
				first = err
			}
		})
	}
	wg.Wait()
	r.N, r.Took = len(r.Latencies), time.Since(start)
	return r, first
}

// login makes one session of user i, from the address of session from.
func (h *Herd) login(addr netip.AddrPort, i, from int, scratch []byte) (time.Duration, error) {
	start := time.Now()
	var s session
	defer s.close()
	fd, err := dial(addr, source(h.o.Network, from), socketOptions{})
	if err != nil {
		return 0, err
	}
	s.stream.fd, s.stream.wait = fd, true
	if err := s.protect(h.o.TLS); err != nil {
		return 0, err
	}
	if _, err := s.until(&h.traffic, scratch, "* OK"); err != nil {
		return 0, fmt.Errorf("greeting: %w", err)
	}
	if err := s.command(&h.traffic, scratch, "LOGIN "+h.o.user(i)+" pass"); err != nil {
		return 0, fmt.Errorf("LOGIN %s: %w", h.o.user(i), err)
	}
	took := time.Since(start)
	tag := s.tag()
	if err := s.send(&h.traffic, tag+" LOGOUT\r\n"); err != nil {
		return 0, err
	}
	if _, err := s.until(&h.traffic, scratch, "* BYE"); err != nil {
		return 0, fmt.Errorf("LOGOUT: %w", err)
	}
	return took, nil
}

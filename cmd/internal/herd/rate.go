package herd

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// now is the kernel's monotonic clock, in ns. Processes share it.
func now() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail with this clock
	return ts.Nano()
}

// Now is the clock of Heard.
func Now() time.Duration { return time.Duration(now()) }

// wakeAtRate sends on one thread, which sleeps exactly until each command is due, and reads on another.
func (h *Herd) wakeAtRate(w Waking, queue []*session) Woken {
	var r Woken
	expect := make(map[*session]string, len(queue)) // how the last line of the answer begins
	var mu sync.Mutex                               // guards expect
	stop := make(chan struct{})                     // closed when nothing more is sent
	sent := 0
	read := make(chan Latencies)
	go func() { read <- h.collect(stop, &mu, expect) }() // ends after stop, when all has been answered or Patience is over
	done := make(chan struct{})
	start := now()
	go func() { // ends with the schedule
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // without it the thread oversleeps by 50 µs
		gap := int64(float64(time.Second) / w.Rate)
		for ; sent < len(queue); sent++ {
			due := start + int64(sent)*gap
			if due-start > int64(w.For) {
				return
			}
			if d := due - now(); d > 0 {
				ts := unix.NsecToTimespec(d)
				_ = unix.Nanosleep(&ts, nil) // too early by a signal: no harm
			} else {
				r.Late = max(r.Late, time.Duration(-d))
			}
			s := queue[sent]
			text, last := w.Command.bytes(s)
			mu.Lock()
			expect[s] = last
			mu.Unlock()
			s.sent.Store(now())
			if err := s.send(&h.traffic, text); err != nil {
				s.sent.Store(0)
				mu.Lock()
				delete(expect, s)
				s.err = err
				mu.Unlock()
			}
		}
	}()
	<-done
	r.Took = time.Duration(now() - start)
	close(stop)
	r.Latencies = <-read
	r.Left = len(expect)
	if sent > 0 {
		h.woke(queue[sent-1])
	}
	return r
}

// collect reads answers until stop is closed and nothing is expected any more.
func (h *Herd) collect(stop <-chan struct{}, mu *sync.Mutex, expect map[*session]string) Latencies {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var l Latencies
	var giveUp time.Time
	scratch := make([]byte, 16<<10)
	for {
		select {
		case <-stop:
			mu.Lock()
			left := len(expect)
			mu.Unlock()
			if giveUp.IsZero() {
				giveUp = time.Now().Add(Patience)
			}
			if left == 0 || time.Now().After(giveUp) {
				return l
			}
		default:
		}
		h.events(20, func(s *session) {
			err := s.receive(&h.traffic, scratch)
			at := now()
			mu.Lock()
			defer mu.Unlock()
			last, waits := expect[s]
			switch {
			case err != nil:
				s.err = err
			case !waits:
				s.buf = nil
				return
			case !s.whole(last):
				return
			default:
				l = append(l, time.Duration(at-s.sent.Load()))
			}
			s.sent.Store(0)
			delete(expect, s)
		})
	}
}

// events calls f for the sessions that have input or have ended, waiting up to ms milliseconds for the first. Those that are
// not to read what they get are left alone.
func (h *Herd) events(ms int, f func(*session)) {
	var evs [512]unix.EpollEvent
	n, err := unix.EpollWait(h.poller, evs[:], ms)
	if err != nil {
		return // EINTR
	}
	for _, ev := range evs[:n] {
		if s := &h.sessions[ev.Fd]; s.state != Unsent {
			f(s)
		}
	}
}

// receive reads all there is into buf.
func (s *session) receive(t *traffic, scratch []byte) error {
	for {
		n, err := s.read(t, scratch)
		s.buf = append(s.buf, scratch[:n]...)
		if errors.Is(err, errAgain) {
			return nil
		}
		if err != nil {
			return err
		}
		if s.tls == nil && n < len(scratch) {
			return nil // drained (epoll(7))
		}
	}
}

// whole reports whether buf ends with a line that begins with last, and uses it up. s.err is set if that line is a refusal.
func (s *session) whole(last string) bool {
	text, ends := bytes.CutSuffix(s.buf, []byte("\r\n"))
	if !ends {
		return false
	}
	line := text[bytes.LastIndexByte(text, '\n')+1:]
	if err := refused(line); err != nil {
		s.err = fmt.Errorf("%w", err)
	} else if !bytes.HasPrefix(line, []byte(last)) {
		return false
	}
	s.buf = nil
	return true
}

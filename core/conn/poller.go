package conn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Key is what a poller reports for a descriptor: the low 32 bits name it, the high 32 bits are its generation.
type Key uint64

// Ready says what happened to a descriptor.
type Ready uint32

// Bits of Ready.
const (
	ReadyRead   Ready = 1 << iota // input, or the end of input
	ReadyWrite                    // the socket takes output again
	ReadyHangup                   // the peer has closed its sending side; it may still read
	ReadyGone                     // both directions are closed, or the connection failed
)

// Event is one descriptor that is ready.
type Event struct {
	Key   Key
	Ready Ready
}

// wakeKey is the poller's own key, for its eventfd.
const wakeKey = ^Key(0)

// maxEvents is how many events one Wait takes from the kernel.
const maxEvents = 256

// Poller is an epoll instance with an eventfd that interrupts Wait. Wait and Close belong to one
// goroutine; the other methods may be called from any.
//
// The instance is itself watched by Go's own poller, so that a goroutine in Wait sleeps like one that reads from a socket: a thread
// that waits in the kernel would hold a processor of the scheduler until another thread takes it away, 50,000 looks a second.
type Poller struct {
	epfd, evfd int
	file       *os.File // epfd
	conn       syscall.RawConn
	until      time.Time   // the deadline of file
	woken      atomic.Bool // a wake-up is on its way: further ones need no system call
	raw        [maxEvents]unix.EpollEvent
	events     [maxEvents]Event
	n          int // of raw
	err        error
	look       func(fd uintptr) bool // fills raw
}

// NewPoller opens an epoll instance. The caller closes it.
func NewPoller() (*Poller, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("conn: epoll_create1: %w", err)
	}
	evfd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(epfd)
		return nil, fmt.Errorf("conn: eventfd: %w", err)
	}
	p := &Poller{epfd: epfd, evfd: evfd}
	if err := p.park(); err != nil {
		p.Close()
		return nil, err
	}
	if err := p.add(evfd, wakeKey, unix.EPOLLIN); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// park gives the instance to Go's poller.
func (p *Poller) park() (err error) {
	if err := unix.SetNonblock(p.epfd, true); err != nil { // which is what tells os.NewFile to do it
		return fmt.Errorf("conn: epoll: %w", err)
	}
	p.file = os.NewFile(uintptr(p.epfd), "epoll")
	if err := p.file.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("conn: an epoll instance can not be polled: %w", err)
	}
	if p.conn, err = p.file.SyscallConn(); err != nil {
		return fmt.Errorf("conn: epoll: %w", err)
	}
	p.look = func(fd uintptr) bool {
		p.n, p.err = unix.EpollWait(int(fd), p.raw[:], 0)
		return p.n != 0 || p.err != nil
	}
	return nil
}

// Add registers a client's descriptor, edge-triggered, for good. Readiness that is there already is reported.
func (p *Poller) Add(fd int, key Key) error {
	return p.add(fd, key, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET)
}

// AddListener registers a listening descriptor, level-triggered, so that one of the pollers that share it is woken.
func (p *Poller) AddListener(fd int, key Key) error {
	return p.add(fd, key, unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
}

func (p *Poller) add(fd int, key Key, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(uint32(key)), Pad: int32(uint32(key >> 32))}
	if err := unix.EpollCtl(p.epfd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("conn: epoll_ctl: %w", err)
	}
	return nil
}

// Remove takes a descriptor out that stays open, here (a listener that pauses) or as a duplicate in another process.
func (p *Poller) Remove(fd int) error {
	if err := unix.EpollCtl(p.epfd, unix.EPOLL_CTL_DEL, fd, nil); err != nil {
		return fmt.Errorf("conn: epoll_ctl: %w", err)
	}
	return nil
}

// Wait returns the descriptors that are ready, at the latest after d (negative: no limit, resolution 1 ms), or
// nothing when Wake was called. The result is valid until the next call.
func (p *Poller) Wait(d time.Duration) ([]Event, error) {
	if err := p.limit(d); err != nil {
		return nil, fmt.Errorf("conn: epoll: %w", err)
	}
	if err := p.conn.Read(p.look); errors.Is(err, os.ErrDeadlineExceeded) {
		p.look(uintptr(p.epfd)) // it may have passed before the first look
	} else if err != nil {
		return nil, fmt.Errorf("conn: epoll: %w", err)
	}
	if p.err == unix.EINTR {
		return nil, nil
	}
	if p.err != nil {
		return nil, fmt.Errorf("conn: epoll_wait: %w", p.err)
	}
	out := p.events[:0]
	for i := range p.raw[:p.n] {
		raw := &p.raw[i]
		key := Key(uint32(raw.Fd)) | Key(uint32(raw.Pad))<<32
		if key == wakeKey {
			p.drainWake()
			continue
		}
		out = append(out, Event{Key: key, Ready: ready(raw.Events)})
	}
	return out, nil
}

// limit sets the deadline of the next wait. Who waits until the same time as before sets none.
func (p *Poller) limit(d time.Duration) error {
	var until time.Time
	if d >= 0 {
		until = time.Now().Add(d)
		if left := until.Sub(p.until); left > -time.Millisecond && left < time.Millisecond {
			return nil
		}
	} else if p.until.IsZero() {
		return nil
	}
	p.until = until
	return p.file.SetReadDeadline(until)
}

func ready(events uint32) Ready {
	var r Ready
	if events&unix.EPOLLIN != 0 {
		r |= ReadyRead
	}
	if events&unix.EPOLLOUT != 0 {
		r |= ReadyWrite
	}
	if events&unix.EPOLLRDHUP != 0 {
		r |= ReadyHangup
	}
	if events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		r |= ReadyGone
	}
	return r
}

// Wake makes a Wait that is in progress, or else the next one, return.
func (p *Poller) Wake() {
	if p.woken.Swap(true) {
		return
	}
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	// The only error of a valid eventfd is that its counter is full: then Wait is woken anyway.
	_, _ = unix.Write(p.evfd, one[:])
}

func (p *Poller) drainWake() {
	var b [8]byte
	_, _ = unix.Read(p.evfd, b[:])
	p.woken.Store(false)
}

// Close closes the poller's own descriptors.
func (p *Poller) Close() {
	unix.Close(p.evfd)
	if p.file != nil {
		p.file.Close()
	} else {
		unix.Close(p.epfd)
	}
}

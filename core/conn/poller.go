package conn

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
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
type Poller struct {
	epfd, evfd int
	woken      atomic.Bool // a wake-up is on its way: further ones need no system call
	raw        [maxEvents]unix.EpollEvent
	events     [maxEvents]Event
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
	if err := p.add(evfd, wakeKey, unix.EPOLLIN); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
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
	ms := -1
	if d >= 0 {
		ms = int(min((d+time.Millisecond-1)/time.Millisecond, 1<<30))
	}
	n, err := unix.EpollWait(p.epfd, p.raw[:], ms)
	if err == unix.EINTR {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("conn: epoll_wait: %w", err)
	}
	out := p.events[:0]
	for i := range p.raw[:n] {
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
	unix.Close(p.epfd)
}

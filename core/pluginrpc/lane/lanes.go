package lane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/core/quiet"
)

// maxLanes is how many calls can be under way over lanes; those beyond go over gRPC. A lane that nobody uses costs two pipes, and a goroutine of the plugin.
const maxLanes = 64

const (
	// keptMemory is how much memory of lanes that are not in use is kept for the next calls, in bytes. More is given back to the system at once.
	keptMemory = 4 << 20
	// keptFor is how long after the last call it is kept, or up to twice as long.
	keptFor = 5 * time.Second
	// keptLanes is how many idle lanes are kept after that. Each costs some 30 KB of buffers and stacks in both processes.
	keptLanes = 2
)

// Lanes is core's end of the lane socket, and the lanes to one process. They are made when there is a call for them.
type Lanes struct {
	socket *os.File
	quiet  *quiet.Watch // over calls, which leave lanes and memory

	mu     sync.Mutex
	idle   []*lane // the last one used last
	all    map[*lane]struct{}
	last   uint64 // number
	closed bool
	share  bool // new lanes have memory
	kept   int  // bytes of memory that idle lanes have
}

// lane is core's end of a lane.
type lane struct {
	number uint64
	conn   pipes
	reader
	call   uint32
	out    []byte  // the request
	memory *memory // nil: it has none
}

// New makes a lane socket: core's end, and the file that the plugin's process inherits.
func New() (*Lanes, *os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("lane: socket: %w", err)
	}
	p := &Lanes{socket: os.NewFile(uintptr(pair[0]), "lanes"), all: map[*lane]struct{}{}}
	p.quiet = quiet.NewWatch(keptFor, p.rest)
	return p, os.NewFile(uintptr(pair[1]), "lanes"), nil
}

// Len returns how many lanes there are.
func (p *Lanes) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.all)
}

// get returns a lane for one call, nil if there are enough, or no more to be had.
func (p *Lanes) get() *lane {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		l := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.kept -= l.memory.size()
		return l
	}
	if p.closed || len(p.all) >= maxLanes {
		return nil
	}
	l, err := p.make()
	if err != nil { // a limit of descriptors, or a process that does not take them
		return nil
	}
	p.all[l] = struct{}{}
	return l
}

// make makes a lane. p.mu is held.
func (p *Lanes) make() (*lane, error) {
	here, there, err := newPipes()
	if err != nil {
		return nil, err
	}
	defer unix.Close(there[0])
	defer unix.Close(there[1])
	l := &lane{number: p.last + 1, conn: here, reader: reader{src: here}}
	rights := there[:]
	if p.share {
		var file *os.File
		if l.memory, file, err = makeMemory(); err == nil { // otherwise all goes over the pipes
			defer file.Close()
			rights = append(rights, int(file.Fd()))
		}
	}
	p.last++
	if err := p.tell(p.last, unix.UnixRights(rights...)); err != nil {
		l.conn.Close()
		return nil, err
	}
	return l, nil
}

// ShareMemory gives the lanes that are made from now on memory, which the plugin must have announced to take.
func (p *Lanes) ShareMemory() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.share = true
}

// tell sends a packet. It does not block.
func (p *Lanes) tell(number uint64, rights []byte) error {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], number)
	c, err := p.socket.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = c.Control(func(fd uintptr) {
		inner = unix.Sendmsg(int(fd), b[:], rights, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
	})
	return errors.Join(err, inner)
}

// put takes a lane back whose call has been answered.
func (p *Lanes) put(l *lane) {
	l.rest()
	l.out = shrink(l.out)
	if p.full(l.memory.size()) {
		l.memory.giveBack()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.idle = append(p.idle, l)
	if l.memory != nil {
		p.kept += l.memory.used
	}
	p.quiet.Touch()
}

// full reports whether idle lanes have too much memory to keep n bytes more. Lanes that are put back at once may keep a little more than that.
func (p *Lanes) full(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return n > keptMemory-p.kept
}

// rest closes all idle lanes but a few, and gives the memory of these back.
func (p *Lanes) rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle) - keptLanes; n > 0 {
		for _, l := range p.idle[:n] {
			delete(p.all, l)
			l.conn.Close()
		}
		p.idle = append([]*lane(nil), p.idle[n:]...)
	}
	for _, l := range p.idle {
		l.memory.giveBack()
	}
	p.kept = 0
}

// drop closes a lane whose call is not to be, or can not be, answered.
func (p *Lanes) drop(l *lane) {
	p.mu.Lock()
	delete(p.all, l)
	p.mu.Unlock()
	_ = p.tell(l.number, nil) // the plugin may do more than it has to
	l.conn.Close()
}

// Close closes all lanes. Calls under way fail.
func (p *Lanes) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed, p.idle = true, nil
	for l := range p.all {
		l.conn.Close()
	}
	clear(p.all)
	return p.socket.Close()
}

package keeper

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Version is the version of the messages.
const Version = 1

// MaxFDs is how many descriptors a message can carry (SCM_MAX_FD).
const MaxFDs = 253

// maxPacket is the size of the largest message, but for its descriptors.
const maxPacket = 64 << 10

// kind is the first byte of a message. The rest is JSON, or for hold, drop and held handles of 8 bytes, little-endian.
type kind byte

const (
	kindHello    kind = 'h' // core: hello
	kindListener kind = 'l' // both: listenerNote, and the descriptor
	kindPrepared kind = 'p' // core: send what there is
	kindTables   kind = 't' // both: tablesNote, and a descriptor for each name
	kindReady    kind = 'r' // core: readyNote
	kindHold     kind = 'H' // core: handles, and a descriptor for each
	kindDrop     kind = 'D' // core: handles
	kindFrozen   kind = 'z' // core: frozenNote
	kindStopping kind = 's' // core: it is ending, and is not to be started again
	kindAck      kind = 'a' // core: a kindHeld was taken
	kindRefused  kind = 'x' // core: refusedNote

	kindWelcome kind = 'W' // keeper: welcome
	kindGo      kind = 'G' // keeper: there are no more listeners
	kindHeld    kind = 'K' // keeper: handles, and a descriptor for each
	kindDone    kind = 'E' // keeper: there are no more held
	kindFreeze  kind = 'F' // keeper: freeze the sessions
	kindExit    kind = 'X' // keeper: somebody else has them
	kindAsked   kind = 'A' // keeper: Request, and the connection of who waits for the answer
)

// hello is what core says first.
type hello struct {
	Version int
	Layout  string // of what the tables hold; equal ones can be handed over
}

// welcome is the answer.
type welcome struct {
	Version  int
	Inherits bool // there are sessions; what follows prepared may be long in coming
}

// listenerNote names a listening socket.
type listenerNote struct{ Key string }

// tablesNote names the tables, in the order of their descriptors. State is core's.
type tablesNote struct {
	Names []string
	State json.RawMessage
}

// readyNote says that core serves.
type readyNote struct {
	Listeners []string // keys of those that it uses
	Restored  uint64
	Lost      uint64
}

// refusedNote says why core ends, although nobody has told it to.
type refusedNote struct {
	Why string // at most maxWhy bytes
}

// maxWhy bounds what an operator is told of that.
const maxWhy = 4 << 10

// frozenNote says that the keeper has everything.
type frozenNote struct {
	Sessions int
	Ended    int // sessions that could not be moved
}

// packet is a received message. Its descriptors are the receiver's. Its memory is the socket's, until the next message is received.
type packet struct {
	kind kind
	body []byte
	fds  []int
	list []uint64 // room for its handles
}

// close closes the descriptors that nobody has taken.
func (p *packet) close() {
	for _, fd := range p.fds {
		unix.Close(fd)
	}
	p.fds = nil
}

var errPacket = errors.New("keeper: a message that is none")

// note reads the JSON of a message.
func (p *packet) note(v any) error {
	if err := json.Unmarshal(p.body, v); err != nil {
		return fmt.Errorf("%w: kind %q: %v", errPacket, p.kind, err)
	}
	return nil
}

// handles reads the handles of a message, with a descriptor for each if it is to carry them. Without enough
// of them (the process was out of descriptors), the last handles are left out, and cut is true.
func (p *packet) handles(withFDs bool) (list []uint64, cut bool, err error) {
	n := len(p.body) / 8
	if len(p.body)%8 != 0 || withFDs && len(p.fds) > n || !withFDs && len(p.fds) > 0 {
		return nil, false, fmt.Errorf("%w: kind %q of %d bytes with %d descriptors", errPacket, p.kind, len(p.body), len(p.fds))
	}
	if withFDs && n > len(p.fds) {
		n, cut = len(p.fds), true
	}
	list = p.list[:0]
	for i := range n {
		list = append(list, binary.LittleEndian.Uint64(p.body[8*i:]))
	}
	return list, cut, nil
}

func appendHandles(b []byte, handles []uint64) []byte {
	for _, h := range handles {
		b = binary.LittleEndian.AppendUint64(b, h)
	}
	return b
}

// socket is one end of the pair. One goroutine receives; sending is for one goroutine at a time, which its users see to.
//
// Receiving allocates next to nothing: a keeper gets a message for every few logins, and has no other use for memory.
type socket struct {
	file *os.File

	// Of receive.
	conn    syscall.RawConn // nil before the first message
	try     func(fd uintptr) bool
	n, oobn int
	err     error
	buf     [maxPacket]byte
	oob     []byte
	fds     []int
	handles []uint64 // empty, with room for those of any message
}

func newSocket(f *os.File) *socket {
	s := &socket{file: f, oob: make([]byte, unix.CmsgSpace(4*MaxFDs)), handles: make([]uint64, 0, maxPacket/8)}
	s.try = s.tryReceive
	return s
}

// receive waits for the next message, which is valid until the next call.
func (s *socket) receive() (packet, error) {
	if s.conn == nil {
		conn, err := s.file.SyscallConn()
		if err != nil {
			return packet{}, err
		}
		s.conn = conn
	}
	err := s.conn.Read(s.try)
	if err == nil {
		err = s.err
	}
	if err != nil {
		return packet{}, fmt.Errorf("keeper: receive: %w", err)
	}
	s.fds = rights(s.fds[:0], s.oob[:s.oobn])
	p := packet{fds: s.fds, list: s.handles}
	if s.n == 0 {
		p.close()
		return packet{}, errClosed
	}
	p.kind, p.body = kind(s.buf[0]), s.buf[1:s.n]
	return p, nil
}

// tryReceive receives without blocking. It returns false if there is nothing yet.
func (s *socket) tryReceive(fd uintptr) bool {
	for {
		s.n, s.oobn, _, _, s.err = unix.Recvmsg(int(fd), s.buf[:], s.oob, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
		if s.err != unix.EINTR {
			return s.err != unix.EAGAIN
		}
	}
}

// errClosed: the other side has ended.
var errClosed = errors.New("keeper: the connection is closed")

// rights appends all descriptors in control messages to fds.
func rights(fds []int, oob []byte) []int {
	for len(oob) > 0 {
		head, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return fds
		}
		if head.Level == unix.SOL_SOCKET && head.Type == unix.SCM_RIGHTS {
			for ; len(data) >= 4; data = data[4:] {
				fds = append(fds, int(int32(binary.NativeEndian.Uint32(data))))
			}
		}
		oob = rest
	}
	return fds
}

// inFlightPause is how long to wait when descriptors on their way exceed the limit (RLIMIT_NOFILE of the user, unix(7)): nothing tells when the receiver has taken them.
const inFlightPause = 5 * time.Millisecond

// trySend sends a message without blocking. It returns false if the receiver is behind; pause then says that wait would not know when.
func (s *socket) trySend(msg []byte, fds []int) (sent, pause bool, err error) {
	conn, err := s.file.SyscallConn()
	if err != nil {
		return false, false, err
	}
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	var sendErr error
	err = conn.Control(func(fd uintptr) {
		for {
			if sendErr = unix.Sendmsg(int(fd), msg, oob, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT); sendErr != unix.EINTR {
				return
			}
		}
	})
	switch {
	case err != nil:
		return false, false, err
	case sendErr == unix.EAGAIN || sendErr == unix.ENOBUFS:
		return false, false, nil
	case sendErr == unix.ETOOMANYREFS:
		return false, true, nil
	case sendErr != nil:
		return false, false, fmt.Errorf("keeper: send: %w", sendErr)
	}
	return true, false, nil
}

// writable waits until the receiver has made room.
func (s *socket) writable() error {
	conn, err := s.file.SyscallConn()
	if err != nil {
		return err
	}
	return conn.Write(func(fd uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		n, err := unix.Poll(poll, 0)
		for err == unix.EINTR { // an edge that came before this call is not told again
			n, err = unix.Poll(poll, 0)
		}
		return n > 0 || err != nil
	})
}

// send sends a message, and waits while the receiver is behind. The descriptors stay the caller's.
func (s *socket) send(k kind, body []byte, fds ...int) error {
	msg := append(append(make([]byte, 0, 1+len(body)), byte(k)), body...)
	for {
		sent, pause, err := s.trySend(msg, fds)
		if sent || err != nil {
			return err
		}
		if pause {
			time.Sleep(inFlightPause)
		} else if err := s.writable(); err != nil {
			return err
		}
	}
}

// sendNote is send with JSON.
func (s *socket) sendNote(k kind, v any, fds ...int) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(body) >= maxPacket {
		return fmt.Errorf("keeper: a message of %d bytes", len(body))
	}
	return s.send(k, body, fds...)
}

// newPair makes the two ends; the second is for a child process.
func newPair() (*socket, *os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("keeper: socketpair: %w", err)
	}
	if err := unix.SetNonblock(pair[0], true); err != nil {
		return nil, nil, fmt.Errorf("keeper: socketpair: %w", err)
	}
	return newSocket(os.NewFile(uintptr(pair[0]), "keeper")), os.NewFile(uintptr(pair[1]), "keeper"), nil
}

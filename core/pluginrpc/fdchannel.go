package pluginrpc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// The descriptor channel is a socket pair of type SOCK_SEQPACKET beside the
// gRPC connection. Only the plugin sends. Each packet is a token of 8 bytes
// (little-endian, chosen by the plugin, never 0, never the same twice) with one
// descriptor in an SCM_RIGHTS control message; the answer to the gRPC call
// that asked for the descriptor names the token.

const tokenBytes = 8

// NewFDChannel makes a descriptor channel: core's end, and the file that the plugin's process inherits.
func NewFDChannel() (*FDReceiver, *os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("pluginrpc: descriptor channel: %w", err)
	}
	return &FDReceiver{socket: os.NewFile(uintptr(pair[0]), "fd-channel"), waiting: map[uint64]*os.File{}},
		os.NewFile(uintptr(pair[1]), "fd-channel"), nil
}

// FDSender is the plugin's end of a descriptor channel.
type FDSender struct {
	socket *os.File
	last   atomic.Uint64
}

// NewFDSender takes over the socket that the process inherited.
func NewFDSender(socket *os.File) *FDSender { return &FDSender{socket: socket} }

// Send sends a descriptor, which the caller keeps, and returns its token. It does not block.
func (s *FDSender) Send(f *os.File) (uint64, error) {
	token := s.last.Add(1)
	var b [tokenBytes]byte
	binary.LittleEndian.PutUint64(b[:], token)
	err := controlFD(s.socket, func(socket int) error {
		return controlFD(f, func(fd int) error {
			return unix.Sendmsg(socket, b[:], unix.UnixRights(fd), nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		})
	})
	if err != nil {
		return 0, fmt.Errorf("pluginrpc: send descriptor: %w", err)
	}
	return token, nil
}

// Close closes the socket.
func (s *FDSender) Close() error { return s.socket.Close() }

// FDReceiver is core's end of a descriptor channel.
type FDReceiver struct {
	socket *os.File

	mu      sync.Mutex
	waiting map[uint64]*os.File // received for a call that has not asked yet
}

// maxWaiting bounds the descriptors that nobody has asked for (their call was cancelled).
const maxWaiting = 16

// Receive returns the descriptor with the given token, which must have been
// sent already: it does not block. The caller closes the file.
func (r *FDReceiver) Receive(token uint64) (*os.File, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if f := r.waiting[token]; f != nil {
			delete(r.waiting, token)
			return f, nil
		}
		got, f, err := r.next()
		if err != nil {
			return nil, err
		}
		if len(r.waiting) == maxWaiting {
			for t, old := range r.waiting {
				old.Close()
				delete(r.waiting, t)
				break
			}
		}
		r.waiting[got] = f
	}
}

// next reads one packet. Every descriptor in it is closed unless it is as it should be.
func (r *FDReceiver) next() (uint64, *os.File, error) {
	var b [tokenBytes]byte
	oob := make([]byte, unix.CmsgSpace(4*4))
	var n, oobn int
	err := controlFD(r.socket, func(socket int) (err error) {
		n, oobn, _, _, err = unix.Recvmsg(socket, b[:], oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		return err
	})
	if err != nil {
		return 0, nil, fmt.Errorf("pluginrpc: no descriptor was sent: %w", err)
	}
	fds := parseRights(oob[:oobn])
	if n != tokenBytes || len(fds) != 1 {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return 0, nil, fmt.Errorf("pluginrpc: descriptor packet of %d bytes with %d descriptors", n, len(fds))
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		return 0, nil, fmt.Errorf("pluginrpc: received descriptor: %w", err)
	}
	return binary.LittleEndian.Uint64(b[:]), os.NewFile(uintptr(fds[0]), "received"), nil
}

// Close closes the socket and all descriptors that nobody asked for.
func (r *FDReceiver) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for t, f := range r.waiting {
		f.Close()
		delete(r.waiting, t)
	}
	return r.socket.Close()
}

// parseRights returns all descriptors in control messages.
func parseRights(oob []byte) []int {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	var fds []int
	for i := range msgs {
		if got, err := unix.ParseUnixRights(&msgs[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	return fds
}

var errNotInotify = errors.New("not an inotify descriptor")

// checkInotify makes sure that a received file is what WatchFile promises: a read from it can not block core.
func checkInotify(f *os.File) error {
	return controlFD(f, func(fd int) error {
		name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if err != nil {
			return err
		}
		if name != "anon_inode:inotify" {
			return fmt.Errorf("%w: %s", errNotInotify, name)
		}
		return nil
	})
}

// controlFD calls do with the file's descriptor, which stays open meanwhile.
func controlFD(f *os.File, do func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var doErr error
	if err := conn.Control(func(fd uintptr) { doErr = do(int(fd)) }); err != nil {
		return err
	}
	return doErr
}

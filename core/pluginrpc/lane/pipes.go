package lane

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// pipes is one end of a lane: what it reads from, and what it writes to.
//
// Pipes and not a socket, because who writes to a socket and then sleeps is woken for nothing when the other side has read it: there is room again. A pipe tells
// that only to a writer that had found it full.
type pipes struct {
	in, out *os.File
}

// newPipes makes a lane: the end that is here, and the descriptors of the other one, for takePipes.
func newPipes() (here pipes, there [2]int, err error) {
	var up, down [2]int
	if err := unix.Pipe2(up[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return here, there, fmt.Errorf("lane: pipe: %w", err)
	}
	if err := unix.Pipe2(down[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		unix.Close(up[0])
		unix.Close(up[1])
		return here, there, fmt.Errorf("lane: pipe: %w", err)
	}
	return takePipes(down[0], up[1]), [2]int{up[0], down[1]}, nil
}

// takePipes takes over two descriptors that do not block.
func takePipes(in, out int) pipes {
	return pipes{os.NewFile(uintptr(in), "lane"), os.NewFile(uintptr(out), "lane")}
}

// Read implements io.Reader. io.EOF: the other side is gone.
func (p pipes) Read(b []byte) (int, error) { return p.in.Read(b) }

// Write implements io.Writer.
func (p pipes) Write(b []byte) (int, error) { return p.out.Write(b) }

// expire makes reading and writing fail, also what is under way.
func (p pipes) expire() {
	past := time.Unix(1, 0)
	_ = p.in.SetReadDeadline(past) // it fails on a closed file only
	_ = p.out.SetWriteDeadline(past)
}

// Close implements io.Closer.
func (p pipes) Close() error { return errors.Join(p.in.Close(), p.out.Close()) }

// unread returns how many of the bytes that were written the other side has not read, after it has closed its end, or now.
func (p pipes) unread() (n int) {
	raw, err := p.out.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		if n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ); err != nil {
			n = 0
		}
	})
	return n
}

package keeper

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Operations of the control socket.
const (
	OpReload = "reload"        // as SIGHUP
	OpBinary = "reload-binary" // a new core takes the sessions over
)

// request is a line of JSON that an operator's command sends. The answer is another one.
type request struct {
	Op      string
	answers chan Answer
}

// Answer is the answer to a request.
type Answer struct {
	Error    string  `json:",omitempty"` // "" = done
	Sessions int     // that the server has
	Lost     int     // that did not survive
	Took     float64 // seconds
}

// answer answers once; r may be nil.
func (r *request) answer(a Answer) {
	if r == nil {
		return
	}
	select {
	case r.answers <- a: // capacity 1
	default:
	}
}

// control is the listening control socket.
type control struct {
	ln       *net.UnixListener
	requests chan<- *request
	log      *slog.Logger
	done     chan struct{}
	wg       sync.WaitGroup
}

// requestTimeout bounds how long a connection may take to say what it wants.
const requestTimeout = 5 * time.Second

// listenControl opens the socket. Only the user that the server runs as, and root, may use it.
func listenControl(path string, requests chan<- *request, log *slog.Logger) (*control, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	old := unix.Umask(0o177)
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	unix.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("keeper: control socket: %w", err)
	}
	c := &control{ln: ln, requests: requests, log: log, done: make(chan struct{})}
	c.wg.Go(c.accept) // ends with close
	return c, nil
}

// removeStale removes a socket that nobody listens at.
func removeStale(path string) error {
	if st, err := os.Lstat(path); err != nil || st.Mode().Type() != os.ModeSocket {
		return nil // listening will say what is wrong
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
		return fmt.Errorf("keeper: control socket %s: another server uses it", path)
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("keeper: control socket: %w", err)
	}
	return os.Remove(path)
}

func (c *control) accept() {
	for {
		conn, err := c.ln.AcceptUnix()
		if err != nil {
			return // closed
		}
		c.wg.Go(func() { c.serve(conn) }) // ends with the answer, or with close
	}
}

func (c *control) serve(conn *net.UnixConn) {
	defer conn.Close()
	uid, err := peerUID(conn)
	if err != nil || uid != 0 && uid != os.Geteuid() {
		c.log.Warn("a request of another user is refused", "uid", uid, "error", err)
		return
	}
	if err := conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return
	}
	line, err := bufio.NewReaderSize(conn, 4096).ReadSlice('\n')
	if err != nil {
		return
	}
	r := &request{answers: make(chan Answer, 1)}
	a := Answer{Error: "not a request"}
	if json.Unmarshal(line, r) == nil {
		select {
		case c.requests <- r:
		case <-c.done:
			return
		}
		select {
		case a = <-r.answers:
		case <-c.done:
			a = Answer{Error: "the server ends"}
		}
	}
	b, err := json.Marshal(a)
	if err != nil {
		return
	}
	if err := conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return
	}
	_, _ = conn.Write(append(b, '\n')) // who asked may have gone
}

func peerUID(conn *net.UnixConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return -1, err
	}
	if credErr != nil {
		return -1, credErr
	}
	return int(cred.Uid), nil
}

func (c *control) close() {
	close(c.done)
	c.ln.Close()
	c.wg.Wait()
}

// Ask asks the server whose control socket has that path, and waits for the answer. A socket that neither the caller's user nor root made is not trusted.
func Ask(path, op string) (Answer, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return Answer{}, fmt.Errorf("keeper: no server answers at the control socket: %w", err)
	}
	defer conn.Close()
	if uid, err := peerUID(conn); err != nil || uid != 0 && uid != os.Geteuid() && os.Geteuid() != 0 {
		return Answer{}, fmt.Errorf("keeper: control socket %s belongs to user %d: %v", path, uid, err)
	}
	b, err := json.Marshal(request{Op: op})
	if err != nil {
		return Answer{}, err
	}
	if _, err := conn.Write(append(b, '\n')); err != nil {
		return Answer{}, fmt.Errorf("keeper: control socket: %w", err)
	}
	line, err := bufio.NewReader(conn).ReadBytes('\n')
	if err != nil {
		return Answer{}, fmt.Errorf("keeper: the server gave no answer: %w", err)
	}
	var a Answer
	if err := json.Unmarshal(line, &a); err != nil {
		return Answer{}, fmt.Errorf("keeper: answer: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

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

// Operations of the control socket. The keeper, or Local, answers the first one itself, with an Answer; core the others, with lines of its own.
const (
	OpBinary   = "reload-binary" // a new core takes the sessions over
	OpReload   = "reload"        // as SIGHUP, and what came of it
	OpSessions = "sessions"      // all sessions, or those of a user
	OpTop      = "top"           // what the server is doing
	OpDrain    = "drain"         // as SIGTERM, with reports

	OpPlugins       = "plugins"        // all plugins
	OpPluginReload  = "plugin-reload"  // of one: a new process takes the place of the old one
	OpPluginDisable = "plugin-disable" // end it, and refuse calls
	OpPluginEnable  = "plugin-enable"  // take that back
	OpPluginLogs    = "plugin-logs"    // the last lines of its log
)

// Request is a line of JSON that an operator's command sends.
type Request struct {
	Op    string
	User  string `json:",omitempty"` // OpSessions: "" = all
	Users int    `json:",omitempty"` // OpTop: how many users

	Plugin string `json:",omitempty"` // of the operations on one plugin
	Follow bool   `json:",omitempty"` // OpPluginLogs: and all lines that come
}

// request is a Request with where it came from.
type request struct {
	Request
	conn    *net.UnixConn
	line    []byte
	answers chan Answer
}

// Answer is the answer to a request.
type Answer struct {
	Error    string  `json:",omitempty"` // "" = done
	Sessions int     // that the server has
	Lost     int     // that did not survive
	Took     float64 // seconds

	passed bool // core has the connection, and answers
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
	r := &request{conn: conn, line: line, answers: make(chan Answer, 1)}
	a := Answer{Error: "not a request"}
	if json.Unmarshal(line, &r.Request) == nil {
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
	if a.passed {
		return
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

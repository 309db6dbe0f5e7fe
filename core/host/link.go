package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/roostmail/roost/core/pluginrpc"
)

// link is one connection to a plugin that the operator runs (Config.Address). Its end stands for that of the process, which the
// host can neither see nor cause: the next start is another connection.
type link struct {
	address string
	conn    *grpc.ClientConn
	socket  *linkConn
	pid     int // as the kernel says, of who listens
	closed  chan struct{}
	once    sync.Once
	why     error // valid after closed
}

// linkConn tells the link of the connection's end.
type linkConn struct {
	net.Conn
	l    *link
	used atomic.Bool
}

// Read implements net.Conn.
func (c *linkConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.l.end(err)
	}
	return n, err
}

// Close implements net.Conn.
func (c *linkConn) Close() error {
	c.l.end(net.ErrClosed)
	return c.Conn.Close()
}

// newLink connects to the socket at an address, "unix:///run/x.sock". The socket must belong to root, the user of this process or the
// given one, and so must the process that listens there.
func newLink(ctx context.Context, address, userName string) (*link, error) {
	path := strings.TrimPrefix(address, "unix://")
	trusted := []int{0, os.Geteuid()}
	if userName != "" {
		c, err := lookupCredential(userName, "")
		if err != nil {
			return nil, err
		}
		trusted = append(trusted, int(c.Uid))
	}
	if err := checkSocket(path, trusted); err != nil {
		return nil, err
	}
	raw, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	l := &link{address: address, closed: make(chan struct{})}
	if err := l.checkPeer(raw.(*net.UnixConn), trusted); err != nil {
		raw.Close()
		return nil, err
	}
	l.socket = &linkConn{Conn: raw, l: l}
	l.conn, err = grpc.NewClient("passthrough:///"+path, append(pluginrpc.DialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			if l.socket.used.Swap(true) {
				return nil, errors.New("the connection has ended") // another one is another link
			}
			return l.socket, nil
		}))...)
	if err != nil {
		raw.Close()
		return nil, err
	}
	return l, nil
}

// checkSocket refuses a socket that somebody else could have put there.
func checkSocket(path string, trusted []int) error {
	st, err := os.Lstat(path)
	if err != nil {
		return err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	switch {
	case st.Mode().Type() != os.ModeSocket:
		return fmt.Errorf("%s is no socket", path)
	case !ok || !slices.Contains(trusted, int(sys.Uid)):
		return fmt.Errorf("socket %s belongs to uid %d: it must belong to root, to roost's user, or to the configured user", path, sys.Uid)
	case st.Mode().Perm()&0o002 != 0:
		return fmt.Errorf("socket %s has mode %v: others must not be able to write to it", path, st.Mode().Perm())
	}
	return nil
}

// checkPeer asks the kernel who listens.
func (l *link) checkPeer(conn *net.UnixConn, trusted []int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(err, credErr); err != nil {
		return err
	}
	if !slices.Contains(trusted, int(cred.Uid)) {
		return fmt.Errorf("a process of uid %d listens at %s: it must be of root, of roost's user, or of the configured user", cred.Uid, l.address)
	}
	l.pid = int(cred.Pid)
	return nil
}

// end notes the end of the connection; the first reason counts.
func (l *link) end(why error) {
	l.once.Do(func() {
		l.why = why
		close(l.closed)
	})
}

// close ends the connection.
func (l *link) close() {
	l.end(net.ErrClosed)
	l.conn.Close()
	if !l.socket.used.Swap(true) { // gRPC never had it
		l.socket.Conn.Close()
	}
}

package dovecot

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// socket is one of Dovecot's sockets, with the connection to it while there is one. It is safe for concurrent use.
type socket struct {
	path    string
	hello   []string // lines to begin with
	waits   bool     // the server's lines end in DONE
	timeout time.Duration

	mu     sync.Mutex
	link   *link
	closed bool
}

// link is one connection.
type link struct {
	name       string // random: names the link in the state of an exchange
	conn       net.Conn
	mechanisms []string // that Dovecot has

	mu      sync.Mutex
	err     error // why the link is of no use any more
	last    uint32
	waiting map[string]chan reply // by number; each takes one reply
}

var errClosed = errors.New("closed")

// connect returns the connection, which is made if there is none.
func (s *socket) connect() (*link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	if s.link != nil && s.link.failed() == nil {
		return s.link, nil
	}
	c, err := net.DialTimeout("unix", s.path, s.timeout)
	if err != nil {
		return nil, err
	}
	l := &link{name: rand.Text(), conn: c, waiting: map[string]chan reply{}}
	r := bufio.NewReaderSize(c, 64<<10)
	if l.mechanisms, err = s.greet(c, r); err != nil {
		c.Close()
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	go l.read(r)
	s.link = l
	return l, nil
}

// greet says hello and reads the server's, up to DONE. It returns the mechanisms that the server has.
func (s *socket) greet(c net.Conn, r *bufio.Reader) (mechanisms []string, err error) {
	if err := c.SetDeadline(time.Now().Add(s.timeout)); err != nil {
		return nil, err
	}
	if _, err := c.Write([]byte(strings.Join(s.hello, "\n") + "\n")); err != nil {
		return nil, err
	}
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		text := strings.TrimSuffix(string(line), "\n")
		if m, ok := strings.CutPrefix(text, "MECH\t"); ok {
			m, _, _ = strings.Cut(m, "\t")
			mechanisms = append(mechanisms, m)
		}
		if major, ok := strings.CutPrefix(text, "VERSION\t"); ok {
			if major, _, _ = strings.Cut(major, "\t"); major != "1" {
				return nil, fmt.Errorf("protocol version %q is not known", major)
			}
			if !s.waits {
				break
			}
		}
		if text == "DONE" {
			break
		}
	}
	return mechanisms, c.SetDeadline(time.Time{})
}

// read gives replies to who waits for them, until the connection ends.
func (l *link) read(r *bufio.Reader) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			l.fail(err)
			return
		}
		id, answer, ok := parseLine(strings.TrimSuffix(line, "\n"))
		if !ok {
			continue
		}
		l.mu.Lock()
		c := l.waiting[id]
		delete(l.waiting, id)
		l.mu.Unlock()
		if c != nil {
			c <- answer
		}
	}
}

func (l *link) failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// fail ends the link: who waits gets no reply.
func (l *link) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	l.err = err
	l.conn.Close()
	for id, c := range l.waiting {
		close(c)
		delete(l.waiting, id)
	}
}

// next returns a number for a request.
func (l *link) next() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last++; l.last == 0 {
		l.last = 1
	}
	return strconv.FormatUint(uint64(l.last), 10)
}

// ask sends a line about request id, and returns the reply.
func (l *link) ask(ctx context.Context, id, line string, timeout time.Duration) (reply, error) {
	if err := ctx.Err(); err != nil {
		return reply{}, err
	}
	answer := make(chan reply, 1)
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return reply{}, l.err
	}
	l.waiting[id] = answer
	l.mu.Unlock()
	err := l.conn.SetWriteDeadline(time.Now().Add(timeout))
	if err == nil {
		_, err = l.conn.Write([]byte(line + "\n"))
	}
	if err != nil {
		l.fail(err)
		return reply{}, err
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case r, ok := <-answer:
		if !ok {
			return reply{}, l.failed()
		}
		return r, nil
	case <-ctx.Done():
		l.forget(id)
		return reply{}, ctx.Err()
	case <-timer.C:
		l.forget(id)
		return reply{}, fmt.Errorf("no answer within %v: %w", timeout, os.ErrDeadlineExceeded)
	}
}

func (l *link) forget(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiting, id)
}

// close ends the connection for good.
func (s *socket) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.link != nil {
		s.link.fail(errClosed)
	}
}

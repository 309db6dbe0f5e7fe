package herd

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// session is one connection. It is used by one goroutine at a time, but for wakeAtRate, where one sends and one reads.
type session struct {
	stream  stream
	tls     *tls.Conn
	inflate io.Reader // nil: not compressed
	state   State
	tags    uint32       // used
	idle    string       // tag of the running IDLE
	sent    atomic.Int64 // wakeAtRate: when the command went out, ns of the monotonic clock; 0 = none is out
	buf     []byte       // received and not yet used
	err     error        // the session is lost
}

// traffic counts the bytes of a herd, without those of TLS.
type traffic struct{ in, out atomic.Int64 }

func (s *session) read(t *traffic, b []byte) (n int, err error) {
	if s.inflate != nil {
		return s.inflate.Read(b)
	}
	return s.readWire(t, b)
}

// readWire reads what is not decompressed.
func (s *session) readWire(t *traffic, b []byte) (n int, err error) {
	if s.tls != nil {
		n, err = s.tls.Read(b)
	} else {
		n, err = s.stream.Read(b)
	}
	t.in.Add(int64(n))
	return n, err
}

func (s *session) send(t *traffic, text string) error {
	b := []byte(text)
	var err error
	if s.inflate != nil {
		if b, err = deflate(text); err != nil {
			return err
		}
	}
	if s.tls != nil {
		_, err = s.tls.Write(b)
	} else {
		_, err = s.stream.Write(b)
	}
	t.out.Add(int64(len(b)))
	return err
}

func (s *session) tag() string {
	s.tags++
	return "t" + strconv.Itoa(int(s.tags))
}

// until reads lines up to one that starts with prefix, and returns it, as find does.
func (s *session) until(t *traffic, scratch []byte, prefix string) (string, error) {
	return s.find(t, scratch, func(line []byte) bool { return bytes.HasPrefix(line, []byte(prefix)) })
}

// find reads lines up to one that is wanted, and returns it. It ends with an error at "* BYE", or when
// the tagged answer to another command than OK comes.
func (s *session) find(t *traffic, scratch []byte, wanted func(line []byte) bool) (string, error) {
	s.stream.wait = true
	defer func() { s.stream.wait = false }()
	for {
		for {
			line, rest, whole := bytes.Cut(s.buf, []byte("\r\n"))
			if !whole {
				break
			}
			text := string(line)
			s.buf = rest
			if len(rest) == 0 {
				s.buf = nil
			}
			if wanted(line) {
				return text, nil
			}
			if bad := refused(line); bad != nil {
				return "", bad
			}
		}
		n, err := s.read(t, scratch)
		if n > 0 {
			s.buf = append(s.buf, scratch[:n]...)
			continue
		}
		if err != nil {
			return "", err
		}
	}
}

// refused returns an error if line ends the session, or is the tagged NO or BAD to one of its commands.
func refused(line []byte) error {
	if bytes.HasPrefix(line, []byte("* BYE")) {
		return fmt.Errorf("server says %q", line)
	}
	if len(line) > 1 && line[0] == 't' && line[1] >= '0' && line[1] <= '9' {
		if _, answer, _ := bytes.Cut(line, []byte(" ")); !bytes.HasPrefix(answer, []byte("OK")) {
			return fmt.Errorf("server says %q", line)
		}
	}
	return nil
}

// command sends a command and waits until it is answered with OK.
func (s *session) command(t *traffic, scratch []byte, text string) error {
	tag := s.tag()
	if err := s.send(t, tag+" "+text+"\r\n"); err != nil {
		return err
	}
	return s.done(t, scratch, tag)
}

// done waits for the OK of the command with tag.
func (s *session) done(t *traffic, scratch []byte, tag string) error {
	line, err := s.until(t, scratch, tag+" ")
	if err == nil {
		err = refused([]byte(line))
	}
	return err
}

// unsentCommands is how many CAPABILITY commands make more output, some 400 KB, than the kernel and roost together hold for a session
// with tiny buffers that reads nothing: 130 KB.
const unsentCommands = 2000

// settle brings a session that is authenticated or selected into the rest of its state.
func (s *session) settle(t *traffic, scratch []byte) error {
	switch s.state {
	case Idle:
		s.idle = s.tag()
		if err := s.send(t, s.idle+" IDLE\r\n"); err != nil {
			return err
		}
		_, err := s.until(t, scratch, "+")
		return err
	case Compressed:
		return s.compress(t, scratch)
	case HalfCommand:
		return s.send(t, s.tag()+" NO")
	case HalfLiteral:
		if err := s.send(t, s.tag()+" STATUS {5}\r\n"); err != nil {
			return err
		}
		if _, err := s.until(t, scratch, "+"); err != nil {
			return err
		}
		return s.send(t, "INB")
	case Unsent:
		var b bytes.Buffer
		for range unsentCommands {
			b.WriteString(s.tag() + " CAPABILITY\r\n")
		}
		return s.send(t, b.String())
	}
	return nil
}

// check lets the session finish what it was doing, and looks whether the answer is right; settle follows. An Unsent session is Authenticated
// afterwards: the kernel's buffers have grown as it read, and would take in all of it a second time.
func (s *session) check(t *traffic, scratch []byte) error {
	last := "t" + strconv.Itoa(int(s.tags))
	switch s.state {
	case Idle:
		if err := s.send(t, "DONE\r\n"); err != nil {
			return err
		}
		last = s.idle
	case HalfCommand:
		if err := s.send(t, "OP\r\n"); err != nil {
			return err
		}
	case HalfLiteral:
		if err := s.send(t, "OX (MESSAGES)\r\n"); err != nil {
			return err
		}
	case Unsent:
		first := int(s.tags) - unsentCommands + 1
		for n := first; n < int(s.tags); n++ {
			if err := s.done(t, scratch, "t"+strconv.Itoa(n)); err != nil {
				return err
			}
		}
		s.state = Authenticated
	default:
		return s.command(t, scratch, "NOOP")
	}
	return s.done(t, scratch, last)
}

func (s *session) close() {
	if s.stream.fd > 0 {
		unix.Close(s.stream.fd)
		s.stream.fd, s.tls, s.inflate, s.buf = 0, nil, nil, nil
	}
}

package rig

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Client is a plain IMAP client for tests and benchmarks: it sends what it is
// told and reads whole responses, literals included. It understands no more
// of IMAP than where a response ends.
type Client struct {
	Patience time.Duration // bounds every wait for the server; 0: Patience

	conn net.Conn
	buf  []byte // received and not yet returned
	n    int    // tags used
}

// Patience bounds every wait of a client that has none of its own.
const Patience = 60 * time.Second

// wait gives the server the time that it has for what comes next.
func (c *Client) wait() { c.conn.SetDeadline(time.Now().Add(cmp.Or(c.Patience, Patience))) }

// Dial connects in plaintext and reads the greeting.
func Dial(addr string) (*Client, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return Use(conn)
}

// DialTLS connects with implicit TLS, without checking the certificate, and reads the greeting.
func DialTLS(addr string) (*Client, error) {
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	return Use(conn)
}

// Use reads the greeting from a connection.
func Use(conn net.Conn) (*Client, error) {
	c := &Client{conn: conn}
	greeting, err := c.ReadResponse()
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("greeting: %w", err)
	}
	if !bytes.HasPrefix(greeting, []byte("* OK")) {
		conn.Close()
		return nil, fmt.Errorf("greeting: %q", greeting)
	}
	return c, nil
}

// Login dials and logs in with the password "pass".
func Login(addr, user string) (*Client, error) {
	c, err := Dial(addr)
	if err != nil {
		return nil, err
	}
	if _, err := c.Cmd("LOGIN %s pass", user); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close closes the connection without LOGOUT.
func (c *Client) Close() { c.conn.Close() }

// Send writes raw bytes.
func (c *Client) Send(b []byte) error {
	c.wait()
	_, err := c.conn.Write(b)
	return err
}

// Start sends a command and returns its tag.
func (c *Client) Start(format string, args ...any) (tag string, err error) {
	c.n++
	tag = "zQ" + strconv.Itoa(c.n)
	return tag, c.Send([]byte(tag + " " + fmt.Sprintf(format, args...) + "\r\n"))
}

// Cmd sends a command and returns its untagged responses (without CRLF,
// literals inline). The error of a NO or BAD is a *Refused.
func (c *Client) Cmd(format string, args ...any) ([][]byte, error) {
	tag, err := c.Start(format, args...)
	if err != nil {
		return nil, err
	}
	untagged, final, err := c.Until(tag)
	if err == nil && !bytes.HasPrefix(final, []byte("OK")) {
		err = &Refused{Command: fmt.Sprintf(format, args...), Answer: string(final)}
	}
	return untagged, err
}

// Refused is the answer NO or BAD.
type Refused struct{ Command, Answer string }

func (r *Refused) Error() string { return fmt.Sprintf("%s: %s", r.Command, r.Answer) }

// Until reads responses to the tagged one, whose text without the tag is final.
func (c *Client) Until(tag string) (untagged [][]byte, final []byte, err error) {
	for {
		r, err := c.ReadResponse()
		if err != nil {
			return untagged, nil, err
		}
		if rest, ok := bytes.CutPrefix(r, []byte(tag+" ")); ok {
			return untagged, rest, nil
		}
		untagged = append(untagged, r)
		if bytes.HasPrefix(r, []byte("* BYE")) && !strings.Contains(strings.ToUpper(string(r)), "LOGGING OUT") {
			return untagged, nil, fmt.Errorf("%s", r)
		}
	}
}

// ReadResponse reads one response, without its final CRLF. The result is a copy.
func (c *Client) ReadResponse() ([]byte, error) {
	scanned := 0
	for {
		end, more := responseEnd(c.buf, scanned)
		if end >= 0 {
			r := bytes.Clone(bytes.TrimRight(c.buf[:end], "\r\n"))
			c.buf = append(c.buf[:0], c.buf[end:]...)
			return r, nil
		}
		scanned = more
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// responseEnd returns the length of the first response of b, or -1 and where to go on with more bytes.
func responseEnd(b []byte, from int) (end, next int) {
	for {
		if from > len(b) {
			return -1, from
		}
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return -1, from
		}
		eol := from + i + 1
		line := bytes.TrimRight(b[from:eol], "\r\n")
		if !bytes.HasSuffix(line, []byte("}")) {
			return eol, eol
		}
		open := bytes.LastIndexByte(line, '{')
		n, err := strconv.Atoi(string(line[open+1 : len(line)-1]))
		if open < 0 || err != nil {
			return eol, eol
		}
		if len(b) < eol+n {
			return -1, from
		}
		from = eol + n
	}
}

func (c *Client) fill() error {
	if cap(c.buf)-len(c.buf) < 1<<16 {
		c.buf = append(make([]byte, 0, 2*cap(c.buf)+1<<17), c.buf...)
	}
	c.wait()
	n, err := c.conn.Read(c.buf[len(c.buf):cap(c.buf)])
	c.buf = c.buf[:len(c.buf)+n]
	if n > 0 {
		return nil
	}
	return err
}

// Drain sends a command and reads up to its tagged answer without keeping
// or parsing anything: the cheapest client there is. It returns the number of bytes received.
func (c *Client) Drain(format string, args ...any) (int, error) {
	tag, err := c.Start(format, args...)
	if err != nil {
		return 0, err
	}
	if cap(c.buf) < 1<<18 {
		c.buf = make([]byte, 0, 1<<18)
	}
	total, want := 0, []byte(tag+" ")
	tail := c.buf[:0]
	for {
		if len(tail) > 4096 {
			tail = append(tail[:0], tail[len(tail)-1024:]...)
		}
		c.wait()
		n, err := c.conn.Read(tail[len(tail):cap(tail)])
		total += n
		tail = tail[:len(tail)+n]
		if bytes.HasSuffix(tail, []byte("\r\n")) {
			last := bytes.LastIndexByte(tail[:len(tail)-2], '\n') + 1
			if bytes.HasPrefix(tail[last:], want) {
				if !bytes.HasPrefix(tail[last+len(want):], []byte("OK")) {
					return total, &Refused{Command: fmt.Sprintf(format, args...), Answer: string(tail[last:])}
				}
				c.buf = tail[:0]
				return total, nil
			}
		}
		if err != nil {
			return total, err
		}
	}
}

// StartTLS sends STARTTLS and protects the connection, without checking the certificate.
func (c *Client) StartTLS(maxVersion uint16) error {
	if _, err := c.Cmd("STARTTLS"); err != nil {
		return err
	}
	conn := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true, MaxVersion: maxVersion})
	c.conn = conn
	return conn.Handshake()
}

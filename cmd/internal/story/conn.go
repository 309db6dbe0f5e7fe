package story

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// Patience is how long a story waits for a line unless Server.Patience says otherwise.
const Patience = 20 * time.Second

// conn is a client's end of a connection.
type conn struct {
	net.Conn
	r      *bufio.Reader
	z      *flate.Writer // into zbuf; nil: what is sent is not compressed
	zbuf   bytes.Buffer
	peeked *string // a line that was read before it was wanted
	closed bool    // the server has closed it, as the story says

	patience time.Duration // for the next line
}

func dial(srv Server) (*conn, error) {
	c, err := net.Dial("tcp", srv.Addr)
	if err != nil {
		return nil, err
	}
	patience := srv.Patience
	if patience == 0 {
		patience = Patience
	}
	return &conn{Conn: c, r: bufio.NewReader(c), patience: patience}, nil
}

// protect starts TLS, without checking the certificate.
func (c *conn) protect() error {
	t := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
	c.Conn, c.r = t, bufio.NewReader(t)
	return t.Handshake()
}

// deflate compresses what follows, both ways.
func (c *conn) deflate() error {
	var err error
	c.z, err = flate.NewWriter(&c.zbuf, flate.DefaultCompression)
	c.r = bufio.NewReader(flate.NewReader(c.r))
	return err
}

func (c *conn) send(p []byte) error {
	if c.z != nil {
		c.zbuf.Reset()
		c.z.Write(p) // the buffer has no errors
		c.z.Flush()
		p = c.zbuf.Bytes()
	}
	if err := c.SetDeadline(time.Now().Add(c.patience)); err != nil {
		return err
	}
	_, err := c.Write(p)
	return err
}

// line returns the next line without its CRLF.
func (c *conn) line() (string, error) {
	if c.peeked != nil {
		l := *c.peeked
		c.peeked = nil
		return l, nil
	}
	if err := c.SetDeadline(time.Now().Add(c.patience)); err != nil {
		return "", err
	}
	l, err := c.r.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("got %q, then %w", l, err)
	}
	return unmarked(strings.TrimSuffix(strings.TrimSuffix(l, "\n"), "\r")), nil
}

var marks = regexp.MustCompile(` \\(?:Marked|UnMarked)\b|\\(?:Marked|UnMarked)\b ?`)

// unmarked takes the attributes \Marked and \UnMarked out of a LIST or LSUB response: servers may send them when they like, and Dovecot does.
func unmarked(l string) string {
	if !strings.HasPrefix(l, "* LIST (") && !strings.HasPrefix(l, "* LSUB (") {
		return l
	}
	end := strings.IndexByte(l, ')')
	if end < 0 {
		return l
	}
	return marks.ReplaceAllString(l[:end], "") + l[end:]
}

// peek returns the next line, which line will return again.
func (c *conn) peek() (string, error) {
	l, err := c.line()
	if err == nil {
		c.peeked = &l
	}
	return l, err
}

// eof makes sure that the server closes the connection and sends nothing more.
func (c *conn) eof() error {
	if c.peeked != nil {
		return fmt.Errorf("got %q, not the end of the connection", *c.peeked)
	}
	if err := c.SetDeadline(time.Now().Add(c.patience)); err != nil {
		return err
	}
	rest, err := io.ReadAll(c.r)
	c.closed = true
	if len(rest) > 0 || (err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.ErrUnexpectedEOF)) {
		return fmt.Errorf("got %q and %v, not the end of the connection", rest, err)
	}
	return nil
}

// command sends a command of the player's own, and returns the untagged responses to it.
func (c *conn) command(text string) (untagged []string, err error) {
	tag, _, _ := strings.Cut(text, " ")
	if err := c.send([]byte(text + "\r\n")); err != nil {
		return nil, err
	}
	for {
		l, err := c.line()
		if err != nil {
			return nil, err
		}
		rest, ok := strings.CutPrefix(l, tag+" ")
		switch {
		case !ok:
			untagged = append(untagged, l)
		case strings.HasPrefix(rest, "OK"):
			return untagged, nil
		default:
			return nil, fmt.Errorf("%.60q was answered %q", text, l)
		}
	}
}

// login reads the greeting and logs in.
func (c *conn) login(user string) error {
	l, err := c.line()
	if err != nil {
		return err
	}
	if !strings.HasPrefix(l, "* OK") {
		return fmt.Errorf("greeting: %s", l)
	}
	_, err = c.command("login LOGIN " + user + " pass")
	return err
}

// end makes sure that nothing has come that the story does not have.
func (c *conn) end() error {
	defer c.Close()
	if c.closed {
		return nil
	}
	if err := c.send([]byte("last LOGOUT\r\n")); err != nil {
		return fmt.Errorf("the server has closed the connection: %w", err)
	}
	l, err := c.line()
	if err == nil && !strings.HasPrefix(l, "* BYE") {
		err = fmt.Errorf("at the end of the story there was still %q", l)
	}
	return err
}

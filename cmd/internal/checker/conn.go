package checker

import (
	"bufio"
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// patience bounds every wait for the server.
const patience = 60 * time.Second

var errSilence = fmt.Errorf("no answer within %v", patience)

// conn is a connection whose responses are read as they come.
type conn struct {
	net       net.Conn
	out       *flate.Writer // nil: not compressed
	responses chan []byte   // complete, without their final CRLF; closed at the end, and err is set before

	mu       sync.Mutex
	compress string // tag of the command whose OK begins compression
	err      error
}

// dial connects. close ends the goroutine that reads.
func dial(addr string) (*conn, error) {
	n, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &conn{net: n, responses: make(chan []byte, 4096)}
	go c.read()
	return c, nil
}

// close closes the connection, and returns after the reader has ended.
func (c *conn) close() {
	c.net.Close()
	for range c.responses {
	}
}

// send sends bytes as they are.
func (c *conn) send(b []byte) error {
	c.net.SetWriteDeadline(time.Now().Add(patience))
	if c.out == nil {
		_, err := c.net.Write(b)
		return err
	}
	_, err := c.out.Write(b)
	return errors.Join(err, c.out.Flush())
}

// compressAfter says that the OK with the tag is the last line that the server sends uncompressed.
func (c *conn) compressAfter(tag string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.compress = tag
}

// compressed compresses what is sent from here on.
func (c *conn) compressed() {
	c.out, _ = flate.NewWriter(c.net, flate.BestSpeed) // an error says that there is no such level
}

// receive returns the next response. It waits up to d; ok is false when there is none by then.
func (c *conn) receive(d time.Duration) (line []byte, ok bool, err error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case line, ok = <-c.responses:
		if !ok {
			return nil, false, c.err
		}
		return line, true, nil
	case <-timer.C:
		return nil, false, nil
	}
}

func (c *conn) read() {
	defer close(c.responses)
	raw := bufio.NewReaderSize(c.net, 1<<16)
	r := raw
	for {
		line, err := readResponse(r)
		if err != nil {
			c.err = err
			return
		}
		c.responses <- line
		c.mu.Lock()
		begin := c.compress != "" && bytes.HasPrefix(line, []byte(c.compress+" OK"))
		c.mu.Unlock()
		if begin {
			r = bufio.NewReader(flate.NewReader(raw))
			c.compressAfter("")
		}
	}
}

// readResponse reads one response, literals included.
func readResponse(r *bufio.Reader) ([]byte, error) {
	var out []byte
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		out = append(out, line...)
		text := bytes.TrimRight(line, "\r\n")
		open := bytes.LastIndexByte(text, '{')
		if open < 0 || text[len(text)-1] != '}' {
			return bytes.TrimRight(out, "\r\n"), nil
		}
		n, err := strconv.Atoi(string(text[open+1 : len(text)-1]))
		if err != nil {
			return bytes.TrimRight(out, "\r\n"), nil
		}
		at := len(out)
		out = append(out, make([]byte, n)...)
		if _, err := io.ReadFull(r, out[at:]); err != nil {
			return nil, err
		}
	}
}

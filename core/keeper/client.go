package keeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// envFD names the environment variable with the number of the inherited socket.
const envFD = "ROOST_KEEPER_FD"

// Client is core's side.
type Client struct {
	s     *socket
	mu    sync.Mutex // of sending
	pause bool       // Wait must wait for a time

	// Freeze is closed when the sessions are to be frozen, Exit when another core has them.
	Freeze, Exit chan struct{}

	// Asked are requests of operators, to be answered and closed by who receives them.
	Asked chan Asked
}

// Asked is a request that core answers.
type Asked struct {
	Request
	Conn net.Conn
}

// maxAsked is how many requests may wait.
const maxAsked = 16

// Connect returns the client of a core that a keeper has started, or nil if this process was started otherwise.
func Connect() (*Client, error) {
	text := os.Getenv(envFD)
	if text == "" {
		return nil, nil
	}
	os.Unsetenv(envFD) // it is nothing for plugins
	fd, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("keeper: %s=%q", envFD, text)
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("keeper: %s: %w", envFD, err)
	}
	return newClient(newSocket(os.NewFile(uintptr(fd), "keeper"))), nil
}

func newClient(s *socket) *Client {
	return &Client{s: s, Freeze: make(chan struct{}), Exit: make(chan struct{}), Asked: make(chan Asked, maxAsked)}
}

// Hello introduces this core. It returns the listening sockets that there are already, by key; the caller closes them. inherits says
// that there are sessions of a core before.
func (c *Client) Hello(layout string) (listeners map[string]*os.File, inherits bool, err error) {
	if err := c.s.sendNote(kindHello, hello{Version, layout}); err != nil {
		return nil, false, err
	}
	listeners = map[string]*os.File{}
	for {
		p, err := c.s.receive()
		if err != nil {
			return nil, false, err
		}
		switch p.kind {
		case kindWelcome:
			var w welcome
			if err := p.note(&w); err != nil {
				return nil, false, err
			}
			if w.Version != Version {
				return nil, false, fmt.Errorf("keeper: it speaks version %d, this program %d: restart the server", w.Version, Version)
			}
			inherits = w.Inherits
		case kindListener:
			var l listenerNote
			if err := p.note(&l); err != nil || len(p.fds) != 1 {
				p.close()
				return nil, false, errors.Join(errPacket, err)
			}
			listeners[l.Key] = os.NewFile(uintptr(p.fds[0]), l.Key)
		case kindGo:
			return listeners, inherits, nil
		default:
			p.close()
			return nil, false, fmt.Errorf("%w: kind %q", errPacket, p.kind)
		}
	}
}

// Listener gives the keeper a duplicate of a listening socket that was opened.
func (c *Client) Listener(key string, fd int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.s.sendNote(kindListener, listenerNote{key}, fd)
}

// Estate is what a core has left. The descriptors are the receiver's.
type Estate struct {
	Tables  map[string]int
	State   json.RawMessage
	Handles []uint64
	FDs     []int
}

// Close closes the descriptors.
func (e *Estate) Close() {
	for _, fd := range e.FDs {
		unix.Close(fd)
	}
	for _, fd := range e.Tables {
		unix.Close(fd)
	}
}

// Take says that this core is prepared, and returns what there is for it. It waits until the core before, if it
// lives, has given everything away. It must be called after Hello, also if there is nothing to inherit.
func (c *Client) Take() (*Estate, error) {
	c.mu.Lock()
	err := c.s.send(kindPrepared, nil)
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	e := &Estate{Tables: map[string]int{}}
	for {
		p, err := c.s.receive()
		if err == nil {
			err = c.take(e, &p)
		}
		p.close()
		if err != nil {
			e.Close()
			return nil, err
		}
		if p.kind == kindDone {
			go c.listen() // ends with the connection
			return e, nil
		}
	}
}

// take adds a message to the estate.
func (c *Client) take(e *Estate, p *packet) error {
	switch p.kind {
	case kindTables:
		var t tablesNote
		if err := p.note(&t); err != nil {
			return err
		}
		if len(t.Names) != len(p.fds) {
			return fmt.Errorf("%w: %d tables, %d descriptors", errPacket, len(t.Names), len(p.fds))
		}
		e.State = t.State
		for i, name := range t.Names {
			e.Tables[name] = p.fds[i]
		}
		p.fds = nil
	case kindHeld:
		handles, cut, err := p.handles(true)
		if err != nil {
			return err
		}
		if cut {
			return errors.New("keeper: out of descriptors: the limit (RLIMIT_NOFILE) is below the number of sessions")
		}
		e.Handles = append(e.Handles, handles...)
		e.FDs = append(e.FDs, p.fds...)
		p.fds = nil
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.s.send(kindAck, nil)
	case kindDone:
	default:
		return fmt.Errorf("%w: kind %q", errPacket, p.kind)
	}
	return nil
}

// listen waits for requests. If the keeper dies, the kernel ends this process too.
func (c *Client) listen() {
	for {
		p, err := c.s.receive()
		if err != nil {
			return
		}
		switch p.kind {
		case kindFreeze:
			close(c.Freeze)
		case kindExit:
			close(c.Exit)
			return
		case kindAsked:
			c.asked(&p)
		}
		p.close()
	}
}

// asked takes a request. One that can not be answered is closed.
func (c *Client) asked(p *packet) {
	var a Asked
	if err := p.note(&a.Request); err != nil || len(p.fds) != 1 {
		return
	}
	f := os.NewFile(uintptr(p.fds[0]), "control")
	p.fds = nil
	conn, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return
	}
	a.Conn = conn
	select {
	case c.Asked <- a:
	default:
		conn.Close()
	}
}

// Tables gives the keeper the tables of this core, and what a next one must know beside them.
func (c *Client) Tables(names []string, fds []int, state any) error {
	b, err := json.Marshal(state)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.s.sendNote(kindTables, tablesNote{names, b}, fds...)
}

// Ready says that this core serves, at the listeners with these keys, and what has become of the sessions of the core before.
func (c *Client) Ready(listeners []string, restored, lost uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.s.sendNote(kindReady, readyNote{listeners, restored, lost})
}

// Stopping says that this core ends because it was told to: it is not to be started again, and nobody is to connect any more.
func (c *Client) Stopping() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.s.send(kindStopping, nil)
}

// Refused says why this core ends although nobody has told it to: who has asked for a reload hears of it. A text of more than 4 KiB is cut.
func (c *Client) Refused(why error) error {
	text := why.Error()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.s.sendNote(kindRefused, refusedNote{strings.ToValidUTF8(text[:min(len(text), maxWhy)], "")})
}

// Frozen says that the keeper has everything of all sessions, of which ended ones were ended.
func (c *Client) Frozen(sessions, ended int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.s.sendNote(kindFrozen, frozenNote{sessions, ended})
}

// Hold gives the keeper duplicates of at most MaxFDs descriptors, all or none of them: sent is false if it can take none before Wait has returned.
func (c *Client) Hold(handles []uint64, fds []int) (sent bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent, c.pause, err = c.s.trySend(appendHandles([]byte{byte(kindHold)}, handles), fds)
	return sent, err
}

// Wait returns when Hold may go on.
func (c *Client) Wait() error {
	c.mu.Lock()
	pause := c.pause
	c.mu.Unlock()
	if pause {
		time.Sleep(inFlightPause)
		return nil
	}
	return c.s.writable()
}

// Drop makes the keeper close what it holds for handles.
func (c *Client) Drop(handles []uint64) error {
	for len(handles) > 0 {
		n := min(len(handles), (maxPacket-1)/8)
		c.mu.Lock()
		err := c.s.send(kindDrop, appendHandles(nil, handles[:n]))
		c.mu.Unlock()
		if err != nil {
			return err
		}
		handles = handles[n:]
	}
	return nil
}

// Close closes the connection.
func (c *Client) Close() error { return c.s.file.Close() }

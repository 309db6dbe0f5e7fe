package herd

import (
	"errors"
	"io"
	"net/rpc"
	"runtime"
	"runtime/debug"
	"time"
)

// processors is more than the clients that usually wait at a time.
const processors = 24

// Serve is all that a child of a Fleet does: it opens a herd and works with it as it is told, until in ends.
func Serve(in io.Reader, out io.WriteCloser) error {
	// A session that waits for its answer waits in the kernel. With a processor for each of them the scheduler has nothing to do then; with
	// fewer it takes them away from the waiting ones, which costs more than the calls.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), processors))
	s := rpc.NewServer()
	m := &methods{}
	if err := s.RegisterName("Herd", m); err != nil {
		return err
	}
	s.ServeConn(duplex{in, out})
	if m.herd != nil {
		m.herd.Close()
	}
	return nil
}

// methods are what a Fleet calls, one at a time.
type methods struct{ herd *Herd }

type nothing = struct{ N int }
type ok = struct{ OK bool }

// LoggingIn is what a Fleet passes to the function Logins of a child; it is exported for net/rpc.
type LoggingIn struct {
	Options Options
	For     time.Duration
}

var errNoHerd = errors.New("herd: no sessions are open")

func (m *methods) Open(o Options, r *Opened) (err error) {
	if m.herd != nil {
		m.herd.Close()
	}
	m.herd, *r, err = Open(o)
	debug.FreeOSMemory() // the client's garbage is not to be collected while the server is measured
	return err
}

func (m *methods) Check(_ nothing, r *Checked) error {
	return m.with(func(h *Herd) { *r = h.Check() })
}

func (m *methods) Wake(w Waking, r *Woken) error {
	return m.with(func(h *Herd) { *r = h.Wake(w) })
}

func (m *methods) Listen(_ nothing, _ *ok) error { return m.with((*Herd).Listen) }

func (m *methods) Await(_ nothing, r *Heard) error {
	return m.with(func(h *Herd) { *r = h.Await() })
}

func (m *methods) Tell(n int, r *Told) (err error) {
	if e := m.with(func(h *Herd) { *r, err = h.Tell(n) }); e != nil {
		return e
	}
	return err
}

func (m *methods) Logins(l LoggingIn, r *LoggedIn) (err error) {
	*r, err = Logins(l.Options, l.For)
	return err
}

func (m *methods) Close(_ nothing, _ *ok) error {
	return m.with(func(h *Herd) { h.Close(); m.herd = nil })
}

func (m *methods) with(f func(*Herd)) error {
	if m.herd == nil {
		return errNoHerd
	}
	f(m.herd)
	return nil
}

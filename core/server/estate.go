package server

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/imap"
	"github.com/roostmail/roost/core/keeper"
	"github.com/roostmail/roost/core/session"
)

// estate is what passes between this core, those before and after it, and the keeper. nil: there is no keeper.
type estate struct {
	client    *keeper.Client
	listeners map[string]*os.File // of the core before, as long as this one has not taken them
	inherits  bool
	keys      []string // of the listeners that this core uses
}

// estateState is what a next core must know beside the tables.
type estateState struct {
	Start       time.Duration // session.Engine.Start
	MaxSessions int
}

// startSessions makes the protocol and the engine, with what the core before has left.
func (s *Server) startSessions(auth backend.Auth, storage backend.Storage) error {
	c := engineConfig(s.opts.Config)
	pc := s.imapConfig()
	var from *keeper.Estate
	if s.estate != nil {
		c.Keeper = engineKeeper{s.estate.client}
		pc.Mailboxes.Shared = true
		var err error
		if from, err = s.estate.client.Take(); err != nil {
			return fmt.Errorf("server: %w", err)
		}
		pc.Mailboxes.Tables = from.Tables
		defer closeFDs(from)
	}
	var err error
	if s.protocol, err = imap.New(pc, auth, storage, s.log); err != nil {
		if from != nil {
			from.Close()
		}
		return err
	}
	if from == nil || len(from.State) == 0 {
		s.engine, err = session.New(c, s.protocol, s.log)
	} else {
		var state estateState
		if err := json.Unmarshal(from.State, &state); err != nil {
			return fmt.Errorf("server: state of the core before: %w", err)
		}
		s.engine, err = session.Restore(c, s.protocol, s.log, inherited(from, state))
	}
	if err != nil || s.estate == nil {
		return err
	}
	names, fds := s.tables()
	return s.estate.client.Tables(names, fds, estateState{Start: s.engine.Start(), MaxSessions: s.engine.MaxSessions()})
}

// ready tells the keeper that this core serves.
func (e *estate) ready(engine *session.Engine) error {
	if e == nil {
		return nil
	}
	st := engine.Stats()
	lost := uint64(0)
	for _, n := range st.Lost {
		lost += n
	}
	return e.client.Ready(e.keys, st.Restored, lost)
}

// layout is what a core and the next one must agree on.
const layout = session.Layout + "; " + imap.Layout

// newEstate introduces this core to its keeper.
func newEstate(c *keeper.Client) (*estate, error) {
	if c == nil {
		return nil, nil
	}
	e := &estate{client: c}
	var err error
	if e.listeners, e.inherits, err = c.Hello(layout); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	return e, nil
}

// listen opens a listening socket, or takes over that of the core before. kind and address, with a number if there are several alike, are its name.
func (e *estate) listen(kind, address string) (net.Listener, error) {
	if e == nil {
		return net.Listen("tcp", address)
	}
	key := e.key(kind, address)
	if activated := e.activated(address); activated != "" {
		key = activated
	}
	e.keys = append(e.keys, key)
	if f := e.listeners[key]; f != nil {
		delete(e.listeners, key)
		defer f.Close()
		return net.FileListener(f)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		l.Close()
		return nil, err
	}
	var sendErr error
	if err := raw.Control(func(fd uintptr) { sendErr = e.client.Listener(key, int(fd)) }); err != nil {
		sendErr = err
	}
	if sendErr != nil {
		l.Close()
		return nil, sendErr
	}
	return l, nil
}

// activated returns the key of the listening socket that systemd has opened for an address of the configuration, "" if there is none.
func (e *estate) activated(address string) string {
	for key := range e.listeners {
		if at, ok := keeper.ActivatedAddress(key); ok && sameAddress(at, address) {
			return key
		}
	}
	return ""
}

// sameAddress reports whether sockets at two addresses, of which the second may have a name or no host, listen at the same.
func sameAddress(at, configured string) bool {
	a, errA := net.ResolveTCPAddr("tcp", at)
	b, errB := net.ResolveTCPAddr("tcp", configured)
	if errA != nil || errB != nil || a.Port != b.Port {
		return false
	}
	anyA, anyB := len(a.IP) == 0 || a.IP.IsUnspecified(), len(b.IP) == 0 || b.IP.IsUnspecified()
	return anyA && anyB || a.IP.Equal(b.IP)
}

func (e *estate) key(kind, address string) string {
	for n := 0; ; n++ {
		key := fmt.Sprintf("%s %s %d", kind, address, n)
		used := false
		for _, k := range e.keys {
			used = used || k == key
		}
		if !used {
			return key
		}
	}
}

// close closes what nobody has taken over.
func (e *estate) close(log *slog.Logger) {
	if e == nil {
		return
	}
	for key, f := range e.listeners {
		if at, ok := keeper.ActivatedAddress(key); ok {
			log.Warn("a socket of systemd is not used: no address in the configuration is its own", "address", at)
		}
		f.Close()
		delete(e.listeners, key)
	}
}

// engineKeeper is the session engine's view of the keeper.
type engineKeeper struct{ c *keeper.Client }

// Hold implements session.Keeper.
func (k engineKeeper) Hold(held []session.Held) (int, error) {
	if len(held) == 0 {
		return 0, nil
	}
	handles, fds := make([]uint64, len(held)), make([]int, len(held))
	for i, h := range held {
		handles[i], fds[i] = uint64(h.Session), h.FD
	}
	sent, err := k.c.Hold(handles, fds)
	if !sent || err != nil {
		return 0, err
	}
	return len(held), nil
}

// Drop implements session.Keeper.
func (k engineKeeper) Drop(ended []session.Handle) error {
	handles := make([]uint64, len(ended))
	for i, h := range ended {
		handles[i] = uint64(h)
	}
	return k.c.Drop(handles)
}

// Wait implements session.Keeper.
func (k engineKeeper) Wait() error { return k.c.Wait() }

// tables returns the name and memfd of every table that sessions are made of.
func (s *Server) tables() (names []string, fds []int) {
	for _, t := range append(s.engine.Tables(), s.protocol.Tables()...) {
		names, fds = append(names, t.Name), append(fds, t.FD)
	}
	return names, fds
}

// HandOver gives all sessions to the keeper, for the core that follows, and returns when the keeper has them. It waits for commands
// that run, at most [keeper] handover_timeout. Close must follow, whatever it returns.
func (s *Server) HandOver(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Config.Keeper.HandoverTimeout)
	defer cancel()
	begun := time.Now()
	if s.governor != nil {
		s.governor.Close() // it puts mailboxes to sleep
	}
	ended, err := s.engine.Freeze(ctx)
	if err != nil {
		return fmt.Errorf("server: handing sessions over: %w", err)
	}
	if s.watcher != nil {
		s.watcher.close()
	}
	s.protocol.Freeze()
	sessions := s.engine.Stats().Sessions
	s.log.Info("sessions are handed over", "sessions", sessions, "ended", ended, "took", time.Since(begun).Round(time.Millisecond))
	s.engine.Abandon()
	if err := s.estate.client.Frozen(sessions, ended); err != nil {
		return fmt.Errorf("server: handing sessions over: %w", err)
	}
	return nil
}

// inherited turns what the keeper sent into what the engine takes.
func inherited(e *keeper.Estate, state estateState) session.Inherited {
	in := session.Inherited{Sessions: -1, Saved: -1, TLS: -1, Start: state.Start, MaxSessions: state.MaxSessions}
	for i, h := range e.Handles {
		in.Held = append(in.Held, session.Held{Session: session.Handle(h), FD: e.FDs[i]})
	}
	e.Handles, e.FDs = nil, nil
	for name, fd := range map[string]*int{session.TableSessions: &in.Sessions, session.TableSaved: &in.Saved, session.TableTLS: &in.TLS} {
		if got, ok := e.Tables[name]; ok {
			*fd = got
			delete(e.Tables, name)
		}
	}
	return in
}

// closeFDs closes what is left of an estate.
func closeFDs(e *keeper.Estate) {
	for _, fd := range e.Tables {
		unix.Close(fd)
	}
}

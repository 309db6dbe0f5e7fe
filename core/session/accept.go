package session

import (
	"errors"
	"net/netip"

	"github.com/roostmail/roost/core/conn"
)

// accept takes connections from listener n, up to the quota of a turn.
func (l *loop) accept(n int) {
	ls := l.listeners[n]
	if ls == nil {
		return
	}
	for range acceptsPerTurn {
		fd, peer, err := ls.conn.Accept()
		switch {
		case err == nil:
			l.admit(ls, fd, peer)
		case err == conn.ErrAgain:
			return
		case errors.Is(err, conn.ErrNoFiles):
			l.e.refusals.files.count(l.e, peer, limitFiles)
			return
		default:
			l.e.log.Debug("accepting connections", "listener", ls.Addr, "error", err)
			l.e.refusals.accepts.count(l.e, peer, limitMemory)
			return
		}
	}
}

// admit makes fd a session and gives it its first turn.
func (l *loop) admit(ls *listener, fd int, peer netip.AddrPort) {
	e := l.e
	if e.live.Add(1) > int64(e.cfg.MaxSessions) {
		l.reject(ls, fd, peer, &e.refusals.sessions, limitSessions)
		return
	}
	if limit := e.door.knock(peer.Addr()); limit != "" {
		f := &e.refusals.address
		if limit == limitAddressUnauth {
			f = &e.refusals.strangers
		}
		l.reject(ls, fd, peer, f, limit)
		return
	}
	slot, r, err := e.slab.take()
	if err != nil || slot == 0 {
		if err != nil {
			e.log.Error("no room for a session", "error", err)
		}
		e.door.turnedAway(peer.Addr())
		l.reject(ls, fd, peer, &e.refusals.sessions, limitSessions)
		return
	}
	gen := r.word.create()
	r.fd, r.peer, r.port = int32(fd), peer.Addr().As16(), peer.Port()
	r.received = e.seconds()
	r.todo = todoGreet
	if ls.ImplicitTLS {
		r.flags |= flagStartTLS
		r.giveUp = e.after(e.cfg.HandshakeTimeout)
	}
	e.counts.accepted.Add(1)
	evict := e.door.enter(slot, r)
	l.s.attach(e, slot, gen, nil)
	if err := e.loop(slot).poller.Add(fd, conn.Key(makeHandle(slot, gen))); err != nil {
		e.log.Error("cannot watch a connection", "remote", peer, "error", err)
		l.s.err = ErrGone
	}
	e.drive(&l.s, 0)
	if evict != 0 {
		e.signal(evict, bitEvict)
	}
}

// reject closes a connection that limit leaves no room for.
func (l *loop) reject(ls *listener, fd int, peer netip.AddrPort, f *refusal, limit string) {
	f.count(l.e, peer, limit)
	if !ls.ImplicitTLS {
		if line := l.e.p.Full(limit); len(line) > 0 {
			_, _ = conn.Write(fd, line) // as much as a fresh socket takes; the client is not waited for
		}
	}
	conn.Close(fd, true, false, l.s.scratch)
	l.e.ended()
}

package session

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostmail/roost/core/conn"
	"github.com/roostmail/roost/core/conn/tls13"
	"github.com/roostmail/roost/core/slab"
)

// Listener describes a listening socket.
type Listener struct {
	Addr        string // as configured, for log lines
	ImplicitTLS bool   // the connection begins with a handshake
}

// Engine runs the sessions of all listeners.
type Engine struct {
	cfg   Config
	p     Protocol
	log   *slog.Logger
	clock func() time.Time
	start time.Time // second 1 of the engine's clock

	slab       *records
	tlsSlots   *slab.Table[tls13.State]
	saved      *slab.Blobs // packed extras
	holder     *holder     // nil without a keeper
	survivor   Survivor
	extras     extraTable
	lists      *lists
	tasks      tasks
	spools     spools
	pool       pool
	handshakes gate
	door       door
	loops      []*loop
	tls        atomic.Pointer[tlsSetup]
	borrowed   sync.Pool // of *Session, for EventWanted

	ctx        context.Context
	cancel     context.CancelCauseFunc
	draining   atomic.Bool
	closing    atomic.Bool
	freezing   atomic.Bool
	settled    chan struct{} // capacity 1, see settle
	live       atomic.Int64
	tlsConns   atomic.Int64
	compressed atomic.Int64 // sessions
	flowBytes  atomic.Int64 // of their flows
	counts     counts
	refusals   refusals

	mu        sync.Mutex // guards what follows
	listeners []*listener
	empty     chan struct{} // closed when draining and no session is left; nil: nobody waits
	closed    bool
}

// listener is a listening socket in use by all loops.
type listener struct {
	Listener
	conn *conn.Listener
}

// New maps the table and starts the loops. The caller closes the engine.
//
// It fails on a Config whose limits contradict each other or whose SpoolDir can not be used, or when the system refuses descriptors.
func New(cfg Config, p Protocol, log *slog.Logger) (*Engine, error) {
	return newEngine(cfg, p, log, time.Now, nil)
}

// Restore is New with the sessions that another process has left, if their records and descriptors are sound; the others
// are closed. Config.Keeper must be set. Serve follows. It fails as New does, and if the tables are not those of an engine of this Layout: then
// the descriptors are closed, and live on where there are duplicates.
func Restore(cfg Config, p Protocol, log *slog.Logger, in Inherited) (*Engine, error) {
	return newEngine(cfg, p, log, time.Now, &in)
}

func newEngine(cfg Config, p Protocol, log *slog.Logger, clock func() time.Time, in *Inherited) (_ *Engine, err error) {
	if in != nil {
		defer func() {
			if err != nil {
				in.close()
			}
		}()
		if cfg.Keeper == nil {
			return nil, ErrNoKeeper
		}
	}
	spoolDir := cfg.SpoolDir
	cfg, err = cfg.complete()
	if err != nil {
		return nil, err
	}
	e := &Engine{cfg: cfg, p: p, log: log, clock: clock, start: clock(), settled: make(chan struct{}, 1)}
	if in != nil {
		e.start = e.start.Add(min(in.Start-bootTime(), 0))
	}
	var ok bool
	if e.survivor, ok = p.(Survivor); !ok {
		e.survivor = plain{}
	}
	if err := e.attachTables(in); err != nil {
		return nil, err
	}
	e.ctx, e.cancel = context.WithCancelCause(context.Background())
	if e.lists, err = newLists(e.slab); err != nil {
		return nil, err
	}
	e.tasks.base, e.tasks.grace = e.ctx, cfg.HangupGrace
	e.handshakes.max = cfg.MaxHandshakes
	e.door.init(&e.cfg, e.slab)
	e.spools.memory.max = cfg.SpoolMemory
	e.spools.dir, e.spools.maxBytes, e.spools.maxFiles = cfg.SpoolDir, cfg.MaxSpool, int64(cfg.MaxSpoolFiles)
	if err := e.spools.check(); err != nil {
		if spoolDir != "" {
			return nil, fmt.Errorf("%s: %w", limitSpoolDir, err)
		}
		log.Warn("large messages can not be appended", "setting", limitSpoolDir, "error", err)
	}
	e.borrowed.New = func() any { return new(Session) }
	e.pool = pool{run: e.runTask, make: e.newWorker, clock: clock, slots: cfg.Workers, free: cfg.Workers,
		share: min(cfg.UserWorkers, cfg.Workers), slice: cfg.TimeSlice, payers: payers{guestShare: max(cfg.Workers/2, 1)}}
	for range cfg.Loops {
		l, err := newLoop(e)
		if err != nil {
			for _, l := range e.loops {
				l.poller.Close()
			}
			return nil, err
		}
		e.loops = append(e.loops, l)
	}
	if cfg.Keeper != nil {
		e.holder = newHolder(e, cfg.Keeper)
	}
	var restored []signalled
	if in != nil {
		restored = e.restore(in)
	}
	for _, s := range restored { // before a loop can look at one of them: it would go on as its user
		e.resume(s)
	}
	for _, l := range e.loops {
		l.begin()
	}
	return e, nil
}

// resume is signal for a session that goes on from another process.
func (e *Engine) resume(s signalled) {
	r := e.slab.at(s.slot())
	if out, all := r.word.signal(s.gen(), s.bits); out == signalOwned {
		e.pool.submit(task{slot: s.slot(), gen: s.gen(), b: all, payer: payerRestored})
	}
}

// SetTLS sets the configuration of new handshakes; nil = STARTTLS is not offered, and implicit TLS fails.
// cfg must not be changed afterwards.
// Its KeyLogWriter is not used unless Config.HoldTLS.
func (e *Engine) SetTLS(cfg *tls.Config) {
	if cfg == nil {
		e.tls.Store(nil)
		return
	}
	setup := newTLSSetup(cfg)
	if !e.cfg.HoldTLS {
		setup.Config = watched(cfg)
	}
	e.tls.Store(setup)
}

// Serve accepts connections from ln, a TCP listener that the engine takes over, until the engine drains or
// closes. It returns at once.
func (e *Engine) Serve(ln net.Listener, l Listener) error {
	cl, err := conn.Adopt(ln)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.draining.Load() {
		cl.Close()
		return ErrStopping
	}
	if len(e.listeners) > 255 {
		cl.Close()
		return errors.New("session: too many listeners")
	}
	e.listeners = append(e.listeners, &listener{Listener: l, conn: cl})
	for _, lp := range e.loops {
		lp.listen(len(e.listeners)-1, e.listeners[len(e.listeners)-1])
	}
	return nil
}

// seconds returns the second of the engine's clock, from 1.
func (e *Engine) seconds() uint32 { return uint32(e.clock().Sub(e.start)/time.Second) + 1 }

// after returns the first second that begins d or more from now.
func (e *Engine) after(d time.Duration) uint32 {
	at := (e.clock().Sub(e.start) + d + time.Second - 1) / time.Second
	return uint32(min(at+1, 1<<32-1))
}

// timeOf returns when a second of the engine's clock began.
func (e *Engine) timeOf(second uint32) time.Time {
	return e.start.Add(time.Duration(second-1) * time.Second)
}

// wheel returns the timer wheel of a slot's loop.
func (e *Engine) wheel(slot uint32) *wheel { return &e.loop(slot).wheel }

// loop returns the loop that watches a slot's descriptor.
func (e *Engine) loop(slot uint32) *loop { return e.loops[slot%uint32(len(e.loops))] }

// signal tells a session that b happened; a sleeping one is run by a worker. It reports whether the session still exists.
func (e *Engine) signal(h Handle, b bits) bool {
	r := e.slab.at(h.slot())
	if r == nil {
		return false
	}
	switch out, all := r.word.signal(h.gen(), b); out {
	case signalStale:
		return false
	case signalOwned:
		e.submit(task{slot: h.slot(), gen: h.gen(), b: all})
	case signalNudge:
		e.tasks.nudge(h.slot(), b, e.killReason())
	}
	return true
}

// killReason says why a session is ended by bitKill.
func (e *Engine) killReason() error {
	if e.closing.Load() {
		return ErrStopping
	}
	return ErrGone
}

// SignalMailbox calls Protocol.Event, soon and on a worker, for every session that is listed at the mailbox and
// wants it (EventWanted). Signals that come while an event waits are one event.
func (e *Engine) SignalMailbox(id uint32) {
	if id == 0 {
		return
	}
	owned := e.lists.signal(id, nil)
	s := e.borrowed.Get().(*Session)
	defer e.borrowed.Put(s)
	for _, h := range owned {
		s.attachRecord(e, h.slot(), h.gen())
		b := bitEvent
		if !e.p.EventWanted(s) {
			if b = s.r.release(); b == 0 {
				e.settle()
				continue
			}
		}
		e.submit(task{slot: h.slot(), gen: h.gen(), b: b})
	}
	*s = Session{}
}

// SignalSession is SignalMailbox for one session, wherever it is listed. A handle that names nothing is ignored.
func (e *Engine) SignalSession(h Handle) { e.signal(h, bitEvent) }

// drive gives the session that s owns its turns until it sleeps or ends, or hands it to a worker.
func (e *Engine) drive(s *Session, b bits) {
	s.r.word.touch()
	for {
		switch s.turn(b) {
		case turnEnded:
			return
		case turnWorker:
			slot, gen := s.slot, s.gen
			e.submit(task{slot: slot, gen: gen, x: s.detach()})
			return
		}
		var evict Handle
		switch stranger := s.r.flags&flagStranger != 0; {
		case stranger && s.r.state.User != 0:
			e.door.known(s.r)
		case !stranger && s.r.state.User == 0 && s.r.mailbox == 0 && s.r.flags&flagClosing == 0: // it has logged out, and stays
			evict = e.door.back(s.slot, s.r)
		}
		if evict != 0 {
			e.signal(evict, bitEvict)
		}
		slot, gen := s.slot, s.gen
		s.park()
		if b = s.r.release(); b == 0 {
			e.settle()
			return
		}
		s.attach(e, slot, gen, nil)
	}
}

// submit gives a session that the caller owns to a worker.
func (e *Engine) submit(t task) {
	t.payer = payerOf(t.slot, &e.slab.at(t.slot).state)
	e.pool.submit(t)
}

func (e *Engine) newWorker() *worker {
	return &worker{
		scratch: make([]byte, 16<<10),
		wake:    make(chan struct{}, 1),
		granted: make(chan struct{}, 1),
		start:   make(chan task, 1),
	}
}

// runTask runs a session on the calling worker.
func (e *Engine) runTask(w *worker, t task) {
	s := &w.s
	s.w, s.scratch = w, w.scratch
	e.tasks.add(t.slot, w)
	defer e.tasks.remove(t.slot, w)
	s.attach(e, t.slot, t.gen, t.x)
	s.r.word.run()
	e.drive(s, t.b|s.r.word.take(pendingMask)) // the client may have gone while the task waited
}

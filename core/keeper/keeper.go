package keeper

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/core/heap"
	"github.com/roostmail/roost/core/quiet"
	"github.com/roostmail/roost/core/slack"
)

// Options says what a keeper runs.
type Options struct {
	Program string   // path of core's program; read anew for every start, so that a reload takes what is there then
	Args    []string // of core
	Control string   // path of the control socket, "" = none
	Log     *slog.Logger
	// PrepareTimeout bounds how long a core may take to come up in a reload, HandoverTimeout how long the one before may take to give its sessions away.
	PrepareTimeout, HandoverTimeout time.Duration
	Signals                         <-chan os.Signal // SIGTERM, SIGINT and SIGHUP are passed on to core
	Listeners                       []Activated      // taken over
}

// Keeper runs core.
type Keeper struct {
	o      Options
	store  store
	events chan event
	notify notifier
	quiet  *quiet.Watch // of messages about descriptors

	// Of Run's goroutine:
	core     *core // serves, or is about to
	next     *core // of a reload
	reload   *reload
	held     string   // layout of what the store holds; "": no core was ready yet
	served   []string // keys of the listeners of the core that was ready last
	failures int      // ends of core in a row before it was ready
	again    <-chan time.Time
	timeout  *time.Timer // of the step that a reload is in; its channel is timeoutC
	requests chan *request
}

// reload is a reload of the binary under way.
type reload struct {
	request *request
	begun   time.Time
	step    step
	frozen  frozenNote
}

// step is how far a reload has come.
type step int

const (
	stepPrepare step = iota // the next core starts
	stepFreeze              // the one before gives its sessions away
	stepMove                // the next one takes them, and is Keeper.core
)

// quietAfter is how long no session has come or gone when the keeper gives back the memory that it does not need.
const quietAfter = 12 * time.Second

// Run starts core, and returns when it has ended for good: its exit code, or an error if it could not be started. Nothing is left then.
func Run(o Options) (code int, err error) {
	// Children get their parent-death signal when this thread ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := slack.ForChildren(); err != nil {
		o.Log.Warn("calls of plugins will take more of the processor's time", "error", err)
	}
	k := &Keeper{o: o, events: make(chan event, 16), requests: make(chan *request), notify: newNotifier(), quiet: quiet.NewWatch(quietAfter, heap.Free)}
	raiseFileLimit()
	if o.Control != "" {
		c, err := listenControl(o.Control, k.requests, o.Log)
		if err != nil {
			o.Log.Warn("roost reload, sessions, top, drain and plugin can not ask this server", "setting", "[keeper] control", "error", err)
		} else {
			defer c.close()
		}
	}
	defer func() {
		k.store.keepListeners(nil)
		k.store.forget()
	}()
	for _, l := range o.Listeners {
		k.store.addListener(activatedPrefix+l.Address, l.FD)
	}
	heap.Settle()
	if k.core, err = k.spawn(o.Program); err != nil {
		return 1, fmt.Errorf("keeper: starting core: %w", err)
	}
	return k.run()
}

// raiseFileLimit lets the process have as many descriptors as it may.
func raiseFileLimit() {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil && l.Cur < l.Max {
		l.Cur = l.Max
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &l) // else it is as it was
	}
}

func (k *Keeper) run() (code int, err error) {
	var timeout <-chan time.Time
	for {
		timeout = nil
		if k.timeout != nil {
			timeout = k.timeout.C
		}
		select {
		case sig := <-k.o.Signals:
			k.signal(sig)
		case r := <-k.requests:
			k.request(r)
		case <-timeout:
			k.expired()
		case <-k.again:
			k.again = nil
			if err := k.restart(); err != nil {
				return 1, err
			}
		case e := <-k.events:
			if e.kind != 0 {
				k.said(e)
				continue
			}
			if done, code := k.ended(e); done {
				return code, nil
			}
		}
	}
}

// signal passes a signal on. A core that is about to take over is ended by one that ends the server.
func (k *Keeper) signal(sig os.Signal) {
	if sig != syscall.SIGHUP {
		k.notify.send("STOPPING=1")
		k.core.stopping = true
		if k.next != nil {
			k.fail("the server is told to end")
		}
		if k.again != nil { // it is dead
			k.again = nil
			k.events <- event{core: k.core, code: 0}
			return
		}
	}
	_ = k.core.cmd.Process.Signal(sig) // it may have ended: then its end is an event
}

// said deals with what a core says.
func (k *Keeper) said(e event) {
	c := e.core
	if c != k.core && c != k.next {
		return // it has been told to exit, or was killed
	}
	switch e.kind {
	case kindHello:
		if err := k.greet(c, e.hello); err != nil {
			k.o.Log.Error("core can not be greeted", "error", err)
			_ = c.cmd.Process.Kill() // it may have ended
		}
	case kindPrepared:
		if c == k.next {
			k.prepared()
			return
		}
		k.give(c)
	case kindFrozen:
		c.frozen = true
		if k.reload != nil && k.next != nil {
			k.reload.frozen = e.frozen
			k.moveOn()
		} else {
			_ = c.cmd.Process.Kill() // the next one has died meanwhile: another one is started when this one is gone
		}
	case kindReady:
		k.ready(c, e.ready)
	case kindRefused:
		c.refused = e.refused.Why
	case kindStopping:
		c.stopping = true
		k.store.keepListeners(nil)
	}
}

// greet answers a hello.
func (k *Keeper) greet(c *core, h hello) error {
	inherits := k.store.inherits()
	switch {
	case c == k.next && h.Layout != k.core.layout:
		k.fail("the new program keeps sessions in another way (" + h.Layout + ", not " + k.core.layout + "): restart the server instead")
		return nil
	case c == k.core && inherits && h.Layout != k.held:
		k.o.Log.Error("this program keeps sessions in another way: they are given up", "held", k.held, "program", h.Layout, "sessions", k.store.count())
		k.store.forget()
		inherits = false
	}
	c.layout = h.Layout
	if err := c.s.sendNote(kindWelcome, welcome{Version, inherits}); err != nil {
		return err
	}
	k.store.mu.Lock()
	listeners := append([]listener(nil), k.store.listeners...)
	k.store.mu.Unlock()
	for _, l := range listeners {
		if err := c.s.sendNote(kindListener, listenerNote{l.key}, l.fd); err != nil {
			return err
		}
	}
	return c.s.send(kindGo, nil)
}

// give hands a core, on a goroutine that ends with it, everything that there is.
func (k *Keeper) give(c *core) {
	c.inherits = k.store.inherits()
	go func() {
		if err := k.hand(c); err != nil && !errors.Is(err, errClosed) {
			k.o.Log.Error("sessions can not be given to core", "error", err)
			_ = c.cmd.Process.Kill() // it may have ended
		}
	}()
}

// ready is the end of a start.
func (k *Keeper) ready(c *core, note readyNote) {
	c.ready = true
	k.failures, k.held, k.served = 0, c.layout, note.Listeners
	k.store.keepListeners(note.Listeners)
	k.notify.send(fmt.Sprintf("READY=1\nSTATUS=core is process %d", c.cmd.Process.Pid))
	if c.inherits {
		k.o.Log.Info("sessions go on", "restored", note.Restored, "lost", note.Lost, "pid", c.cmd.Process.Pid)
	}
	if r := k.reload; r != nil && c == k.core {
		k.o.Log.Info("reloaded", "program", c.program, "sessions", note.Restored, "lost", note.Lost, "ended", r.frozen.Ended, "took", time.Since(r.begun).Round(time.Millisecond))
		r.request.answer(Answer{Sessions: int(note.Restored), Lost: int(note.Lost) + r.frozen.Ended, Took: time.Since(r.begun).Seconds()})
		k.reload = nil
		k.timeout = nil
	}
}

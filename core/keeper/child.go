package keeper

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// core is a child process that serves.
type core struct {
	cmd      *exec.Cmd
	s        *socket
	program  string        // as it was started
	exe      *os.File      // of the process, nil: not known
	layout   string        // from its hello
	acks     chan struct{} // kindAck
	gone     chan struct{} // closed when it is known to be dead
	ready    bool
	freezing bool   // it was told to give its sessions away
	frozen   bool   // it has done so
	stopping bool   // it ends because it was told to
	inherits bool   // it got sessions
	refused  string // why it ends by itself; "": it has not said
}

// event is what happened to a core, or a request of an operator.
type event struct {
	core    *core
	kind    kind // 0: it has ended
	hello   hello
	ready   readyNote
	frozen  frozenNote
	refused refusedNote
	code    int // exit code, 128 + signal if it was killed
	err     error
}

// oneArena keeps the C library from giving each thread of core a heap of its own (mallopt(3), M_ARENA_MAX), in which next to nothing would be. What
// the environment says counts more.
const oneArena = "MALLOC_ARENA_MAX=1"

// spawn starts a core. It must be called on the thread that lives as long as the keeper: the kernel sends the child's parent-death signal when the thread ends.
func (k *Keeper) spawn(program string) (*core, error) {
	s, child, err := newPair()
	if err != nil {
		return nil, err
	}
	c := &core{s: s, program: program, acks: make(chan struct{}, ackWindow+1), gone: make(chan struct{})}
	c.cmd = exec.Command(program, k.o.Args...)
	c.cmd.Stdout, c.cmd.Stderr = os.Stdout, os.Stderr
	c.cmd.ExtraFiles = []*os.File{child}
	c.cmd.Env = append(append([]string{oneArena}, os.Environ()...), envFD+"="+strconv.Itoa(2+len(c.cmd.ExtraFiles)))
	// A terminal's signals are for the keeper, which passes them on.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	err = c.cmd.Start()
	child.Close()
	if err != nil {
		s.file.Close()
		return nil, err
	}
	if c.exe, err = os.Open("/proc/" + strconv.Itoa(c.cmd.Process.Pid) + "/exe"); err != nil {
		k.o.Log.Debug("the program of core is not known", "error", err) // it has ended already
	}
	done := make(chan struct{})
	go func() { // ends with the connection
		defer close(done)
		if err := k.read(c); err != nil && !errors.Is(err, errClosed) {
			k.o.Log.Error("core is not understood, ending it", "pid", c.cmd.Process.Pid, "error", err)
			_ = c.cmd.Process.Kill() // it may have ended
		}
	}()
	go func() { // ends with the child
		err := c.cmd.Wait()
		<-done // all that it has said is heard
		s.file.Close()
		close(c.gone)
		k.events <- event{core: c, code: exitCode(c.cmd.ProcessState), err: err}
	}()
	return c, nil
}

// image returns a path of the very program that core is or was, also if another file has taken its place.
func (c *core) image() string {
	if c.exe == nil {
		return c.program
	}
	return "/proc/self/fd/" + strconv.Itoa(int(c.exe.Fd()))
}

// close gives back what is kept of a core that has ended.
func (c *core) close() {
	if c.exe != nil {
		c.exe.Close()
	}
}

func exitCode(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}

// read takes what core says until it ends. What it says of descriptors is done at once; the rest is for Run.
func (k *Keeper) read(c *core) error {
	for {
		p, err := c.s.receive()
		if err != nil {
			if errors.Is(err, syscall.ECONNRESET) { // it has died with messages unread
				return errClosed
			}
			return err
		}
		err = k.take(c, &p)
		p.close()
		if err != nil {
			return err
		}
	}
}

// take deals with a message. Those about descriptors of sessions come with every few logins, and are to leave no garbage.
func (k *Keeper) take(c *core, p *packet) error {
	switch p.kind {
	case kindHold:
		k.quiet.Touch()
		handles, cut, err := p.handles(true)
		if err != nil {
			return err
		}
		if cut {
			k.o.Log.Error("the keeper is out of descriptors: some sessions are lost if core dies", "limit", "RLIMIT_NOFILE", "held", k.store.count())
		}
		fds := p.fds
		p.fds = nil
		return k.store.hold(handles, fds)
	case kindDrop:
		k.quiet.Touch()
		handles, _, err := p.handles(false)
		if err != nil {
			return err
		}
		k.store.drop(handles)
		return nil
	}
	return k.takeNote(c, p)
}

// takeNote is take for the rest.
func (k *Keeper) takeNote(c *core, p *packet) error {
	e := event{core: c, kind: p.kind}
	switch p.kind {
	case kindListener:
		var l listenerNote
		if err := p.note(&l); err != nil {
			return err
		}
		if len(p.fds) != 1 {
			return errPacket
		}
		k.store.addListener(l.Key, p.fds[0])
		p.fds = nil
		return nil
	case kindTables:
		var t tablesNote
		if err := p.note(&t); err != nil {
			return err
		}
		if len(t.Names) != len(p.fds) {
			return errPacket
		}
		k.store.setTables(t, p.fds)
		p.fds = nil
		return nil
	case kindAck:
		select {
		case c.acks <- struct{}{}:
			return nil
		default:
			return errPacket // more than was sent
		}
	case kindHello:
		if err := p.note(&e.hello); err != nil {
			return err
		}
	case kindReady:
		if err := p.note(&e.ready); err != nil {
			return err
		}
	case kindFrozen:
		if err := p.note(&e.frozen); err != nil {
			return err
		}
	case kindRefused:
		if err := p.note(&e.refused); err != nil {
			return err
		}
	case kindPrepared, kindStopping:
	default:
		return errPacket
	}
	k.events <- e
	return nil
}

// ackWindow is how many messages with descriptors may be on their way: the descriptors in flight count against a limit.
const ackWindow = 8

// hand gives a prepared core everything that there is. It ends early when the core does.
func (k *Keeper) hand(c *core) error {
	k.store.mu.Lock()
	tables, fds := k.store.tables, k.store.tableFDs
	k.store.mu.Unlock()
	if len(fds) > 0 {
		if err := c.s.sendNote(kindTables, tables, fds...); err != nil {
			return err
		}
		open := 0
		err := k.store.each(func(handles []uint64, fds []int) error {
			if open == ackWindow {
				select {
				case <-c.acks:
					open--
				case <-c.gone:
					return errClosed
				}
			}
			open++
			return c.s.send(kindHeld, appendHandles(nil, handles), fds...)
		})
		if err != nil {
			return err
		}
	}
	return c.s.send(kindDone, nil)
}

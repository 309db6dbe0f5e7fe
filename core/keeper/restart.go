package keeper

import (
	"fmt"
	"time"
)

// maxFailures is how often in a row core may die before it is ready until the sessions are given up, and then again until the keeper gives up.
const maxFailures = 3

// restartPause is how long the keeper waits before it starts core for the n-th time in a row.
func restartPause(failures int) time.Duration {
	if failures == 0 {
		return 0
	}
	return min(100*time.Millisecond<<min(failures, 8), 10*time.Second)
}

// ended deals with the end of a core. done: so ends the keeper.
func (k *Keeper) ended(e event) (done bool, code int) {
	c := e.core
	switch {
	case c == k.next:
		c.close()
		k.next = nil
		if k.reload != nil {
			k.failed(fmt.Sprintf("the new core ended (%s)%s", describe(e), c.reason()))
		}
		k.unlisten()
		return false, 0
	case c != k.core: // it has given its sessions away, or was killed before it got any
		c.close()
		k.unlisten()
		return false, 0
	case c.stopping:
		return true, e.code
	case !c.ready && k.held == "":
		return true, e.code // no core ever was ready, and this one has said why
	case e.code == 0 && !c.frozen:
		return true, 0
	}
	if k.next != nil {
		k.o.Log.Error("core died during a reload", "status", describe(e))
		if k.reload.step == stepFreeze { // the next one is prepared, and gets what there is, as after any death
			k.moveOn()
			return false, 0
		}
		k.fail("core died")
	}
	if !c.ready {
		k.failures++
	}
	if k.reload != nil {
		k.failed(fmt.Sprintf("the new core ended (%s) when it had the sessions%s", describe(e), c.reason()))
	}
	k.o.Log.Error("core died", "pid", c.cmd.Process.Pid, "status", describe(e), "sessions", k.store.count())
	switch k.failures {
	case maxFailures:
		k.o.Log.Error("core does not come up with the sessions: they are given up", "sessions", k.store.count())
		k.store.forget()
	case 2 * maxFailures:
		k.o.Log.Error("core does not come up, giving up")
		return true, max(e.code, 1)
	}
	k.again = time.After(restartPause(k.failures))
	return false, 0
}

// unlisten closes the listeners that only a core has opened which then failed: nobody accepts there. While another one starts it may be its own, and
// ready sees to them.
func (k *Keeper) unlisten() {
	if k.reload == nil && k.core.ready {
		k.store.keepListeners(k.served)
	}
}

// describe says how a core ended.
func describe(e event) string {
	if e.err != nil {
		return e.err.Error()
	}
	return "exit status 0"
}

// reason is ": " and what a core has said why it ends, or where that may be found.
func (c *core) reason() string {
	if c.refused == "" {
		return ": the server's log may say why"
	}
	return ": " + c.refused
}

// restart starts core after its death.
func (k *Keeper) restart() error {
	old := k.core
	program := old.image() // also if its file was replaced since
	if k.failures > 0 {
		program = self // what this keeper was started from, in case that the new one is the reason
	}
	c, err := k.spawn(program)
	if err != nil {
		return fmt.Errorf("keeper: starting core again: %w", err)
	}
	old.close()
	k.core = c
	return nil
}

// self is this process's program, whatever has become of its file.
const self = "/proc/self/exe"

package keeper

import (
	"errors"
	"time"
)

// request deals with what an operator asks for.
func (k *Keeper) request(r *request) {
	switch r.Op {
	case OpBinary:
		switch {
		case k.reload != nil:
			r.answer(Answer{Error: "a reload is under way"})
		case !k.core.ready || k.core.stopping || k.again != nil:
			r.answer(Answer{Error: "the server is starting or ending"})
		case k.core.freezing: // for a next one that has died: there is no way back for it
			r.answer(Answer{Error: "a reload has failed, and the server is about to start its old program anew: try again then"})
		default:
			k.beginReload(r)
		}
	case OpReload, OpSessions, OpTop, OpDrain, OpPlugins, OpPluginReload, OpPluginDisable, OpPluginEnable, OpPluginLogs:
		k.pass(r)
	default:
		r.answer(Answer{Error: "unknown request " + r.Op})
	}
}

// pass gives the connection that a request came from to core, which answers.
func (k *Keeper) pass(r *request) {
	if !k.core.ready || k.core.stopping || k.again != nil {
		r.answer(Answer{Error: "the server is starting or ending"})
		return
	}
	raw, err := r.conn.SyscallConn()
	if err == nil {
		controlErr := raw.Control(func(fd uintptr) { err = k.core.s.send(kindAsked, r.line, int(fd)) })
		err = errors.Join(err, controlErr)
	}
	if err != nil {
		r.answer(Answer{Error: err.Error()})
		return
	}
	r.answer(Answer{passed: true})
}

// beginReload starts the next core.
func (k *Keeper) beginReload(r *request) {
	k.notify.send("RELOADING=1\n" + monotonic())
	k.reload = &reload{request: r, begun: time.Now()}
	c, err := k.spawn(k.o.Program)
	if err != nil {
		k.failed("the new core can not be started: " + err.Error())
		return
	}
	k.o.Log.Info("reloading", "program", k.o.Program, "pid", c.cmd.Process.Pid)
	k.next = c
	k.timeout = time.NewTimer(k.o.PrepareTimeout)
}

// prepared: the next core only lacks the sessions.
func (k *Keeper) prepared() {
	if k.reload.step != stepPrepare {
		return
	}
	k.reload.step, k.core.freezing = stepFreeze, true
	k.timeout = time.NewTimer(k.o.HandoverTimeout + handoverSpare)
	if err := k.core.s.send(kindFreeze, nil); err != nil {
		k.o.Log.Error("core can not be told to freeze its sessions", "error", err) // it is dying: ended follows
	}
}

// handoverSpare is how much longer than its own time core may take for handing over before it is killed.
const handoverSpare = 10 * time.Second

// moveOn gives the sessions of a core that has frozen them, or died, to the next one.
func (k *Keeper) moveOn() {
	old := k.core
	k.core, k.next = k.next, nil
	k.core.inherits = true
	k.reload.step = stepMove
	k.timeout = time.NewTimer(k.o.PrepareTimeout)
	k.give(k.core)
	if old.frozen {
		_ = old.s.send(kindExit, nil) // it may have ended
	}
}

// expired: a step of a reload takes too long.
func (k *Keeper) expired() {
	k.timeout = nil
	switch k.reload.step {
	case stepPrepare:
		k.fail("the new core is not prepared after " + k.o.PrepareTimeout.String())
	case stepFreeze:
		k.o.Log.Error("core does not give its sessions away, ending it")
		_ = k.core.cmd.Process.Kill() // ended goes on
	case stepMove:
		k.o.Log.Error("the new core does not take the sessions, ending it")
		_ = k.core.cmd.Process.Kill() // ended goes on
	}
}

// fail ends a reload whose next core has nothing yet.
func (k *Keeper) fail(why string) {
	if c := k.next; c != nil {
		k.next = nil
		_ = c.cmd.Process.Kill() // its end is the end of one that has nothing
	}
	k.failed(why)
}

// failed tells everybody that a reload has failed.
func (k *Keeper) failed(why string) {
	outcome := "the sessions stay where they are"
	if k.core.freezing { // it has no way back
		outcome = "the old program is started anew and takes its sessions over again, without those whose command was under way"
	}
	k.o.Log.Error("reload of the binary failed: "+outcome, "reason", why)
	if k.reload != nil {
		k.reload.request.answer(Answer{Error: why})
	}
	k.reload, k.timeout = nil, nil
	k.notify.send("READY=1")
}

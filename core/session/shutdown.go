package session

import "context"

// ended counts a session out.
func (e *Engine) ended() {
	defer e.settle()
	if e.live.Add(-1) == 0 && e.draining.Load() {
		e.mu.Lock()
		e.checkEmpty()
		e.mu.Unlock()
	}
}

// checkEmpty tells whoever waits for the last session. e.mu is held.
func (e *Engine) checkEmpty() {
	if e.empty != nil && e.live.Load() == 0 {
		close(e.empty)
		e.empty = nil
	}
}

// Drain stops accepting, lets the commands that run or wait end, lets the protocol say farewell to
// the others (Protocol.Shutdown), and returns when no session is left. If ctx ends before, it returns its cause, and
// sessions are left for Close. Drain does not end the engine.
func (e *Engine) Drain(ctx context.Context) error {
	e.stopAccepting()
	e.signalAll(bitShutdown)
	select {
	case <-e.whenEmpty():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close ends all sessions without a farewell, and returns when every goroutine of the engine has ended. The contexts of
// running commands end with ErrStopping; a Protocol call that ignores that holds Close up.
func (e *Engine) Close() {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return
	}
	e.closed = true
	e.mu.Unlock()
	e.stopAccepting()
	e.closing.Store(true)
	e.cancel(ErrStopping)
	e.signalAll(bitKill)
	<-e.whenEmpty()
	e.pool.close()
	e.spools.closing.Wait()
	for _, l := range e.loops {
		l.end()
	}
	if e.holder != nil {
		e.holder.stop()
		if err := e.holder.finish(nil); err != nil {
			e.log.Warn("the keeper was not told of the end of all sessions", "error", err)
		}
	}
	e.closeTables()
}

func (e *Engine) closeTables() {
	e.slab.close()
	e.tlsSlots.Close()
	if e.saved != nil {
		e.saved.Close()
	}
}

// stopAccepting closes the listeners. Afterwards there are no new sessions but those that signalAll sees.
func (e *Engine) stopAccepting() {
	e.draining.Store(true)
	e.mu.Lock()
	ls := e.listeners
	e.listeners = nil
	e.mu.Unlock()
	for _, l := range e.loops {
		l.unlisten()
	}
	for _, l := range ls {
		l.conn.Close()
	}
}

func (e *Engine) signalAll(b bits) {
	for slot := uint32(1); slot <= e.slab.slots(); slot++ {
		if r, gen := e.slab.hold(slot); r != nil {
			e.signal(makeHandle(slot, gen), b)
		}
		e.slab.letGo()
	}
}

// whenEmpty returns a channel that is closed when no session is left.
func (e *Engine) whenEmpty() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.empty == nil {
		e.empty = make(chan struct{})
	}
	c := e.empty
	e.checkEmpty()
	return c
}

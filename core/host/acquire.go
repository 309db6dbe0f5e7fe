package host

import (
	"context"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// acquire returns the current instance, waiting for one if there is none. The caller calls release.
func (p *Plugin) acquire(ctx context.Context) (*instance, error) {
	var wait <-chan time.Time
	for {
		p.mu.Lock()
		if err := p.refused(); err != nil {
			p.mu.Unlock()
			return nil, err
		}
		if i := p.current; i != nil && !i.gone() {
			i.calls++
			p.mu.Unlock()
			return i, nil
		}
		changed, limit := p.changed, p.c.RestartWait
		p.mu.Unlock()
		if wait == nil {
			timer := time.NewTimer(limit)
			defer timer.Stop()
			wait = timer.C
		}
		select {
		case <-changed:
		case <-wait:
			return nil, p.unavailable("restart.wait of " + limit.String() + " is over")
		case <-ctx.Done():
			if ctx.Err() == context.DeadlineExceeded {
				return nil, p.unavailable("it did not come back before the deadline")
			}
			return nil, &backend.Error{Kind: backend.KindCancelled, Cause: context.Cause(ctx)}
		}
	}
}

// release ends the use of an instance.
func (p *Plugin) release(i *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i.calls--
	if i.calls == 0 && i.idle != nil {
		close(i.idle)
		i.idle = nil
	}
}

// quiet returns a channel that is closed when no call uses the instance. Nobody may acquire it any more.
func (p *Plugin) quiet(i *instance) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := make(chan struct{})
	if i.calls == 0 {
		close(idle)
	} else {
		i.idle = idle
	}
	return idle
}

// unavailable is refusal with the reason of the plugin's absence as cause.
func (p *Plugin) unavailable(why string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refusal(why, p.lastError)
}

// settleTime is how long a process may take to exit after its connection broke.
const settleTime = time.Second

// dead finds out whether a plugin whose connection failed is dead, and makes sure
// that it is if it does not answer. It returns after the process has exited, or has answered.
func (p *Plugin) dead(ctx context.Context, i *instance) bool {
	if i.inproc() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	if !i.gone() && i.plugin.Health(ctx) == nil {
		return false
	}
	select {
	case <-i.exited:
		return true
	case <-ctx.Done():
	}
	if context.Cause(ctx) != context.DeadlineExceeded {
		return false // the caller has lost interest
	}
	p.log.Error("plugin lost its connection, killing it")
	i.kill()
	<-i.exited
	return true
}

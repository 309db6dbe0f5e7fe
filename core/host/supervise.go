package host

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// supervise replaces the instance whenever it ends, until ctx does. It leaves the last one running.
func (p *Plugin) supervise(ctx context.Context, i *instance) {
	defer close(p.ended)
	pause := p.c.RestartMin
	for {
		if !p.watch(ctx, i) {
			return
		}
		p.take()
		lived := time.Since(i.started)
		i.abandon()
		p.failed(errors.New("process ended: " + i.proc.status))
		switch {
		case lived >= p.c.RestartReset:
			pause = p.c.RestartMin
		case i.served.Load(): // it can run: clients need not wait as long as for one that can not
			pause = min(pause, p.c.RestartServed)
		}
		if i = p.restart(ctx, &pause); i == nil {
			return
		}
	}
}

// watch waits for the end of the instance. Meanwhile it asks for its health.
// It returns false when ctx has ended.
func (p *Plugin) watch(ctx context.Context, i *instance) bool {
	ticker := time.NewTicker(p.c.HealthInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-i.exited:
			return true
		case <-ticker.C:
			p.checkHealth(ctx, i)
		}
	}
}

// checkHealth logs a plugin that is not well, and kills one that does not answer.
func (p *Plugin) checkHealth(ctx context.Context, i *instance) {
	ctx, cancel := context.WithTimeout(ctx, p.c.HealthInterval)
	defer cancel()
	err := i.plugin.Health(ctx)
	p.stats.unhealthy.Store(err != nil)
	if err == nil {
		return
	}
	if ctx.Err() == context.DeadlineExceeded && i.proc != nil {
		p.log.Error("plugin does not answer, killing it", "health_interval", p.c.HealthInterval)
		i.kill()
		return
	}
	if ctx.Err() == nil {
		p.log.Warn("plugin is not well", "err", err)
	}
}

// failed notes why there is no instance.
func (p *Plugin) failed(err error) {
	p.log.Error("plugin is down", "err", err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastError = err
}

// restart starts instances until one comes up; nil when ctx has ended. pause is the time before
// the next attempt, and doubles with each.
func (p *Plugin) restart(ctx context.Context, pause *time.Duration) *instance {
	for {
		timer := time.NewTimer(jitter(*pause))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		*pause = min(2**pause, p.c.RestartMax)
		i, err := p.start(ctx)
		if ctx.Err() != nil {
			if i != nil {
				i.abandon()
			}
			return nil
		}
		if err != nil {
			p.failed(err)
			continue
		}
		p.stats.restarts.Add(1)
		p.mu.Lock()
		hooks := p.onRestart
		p.mu.Unlock()
		for _, hook := range hooks {
			hook()
		}
		p.install(i)
		return i
	}
}

// jitter spreads a pause by a fifth, so that plugins that died together do not start together.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)*0.4*float64(d))
}

// acquire returns the current instance, waiting for one if there is none. The caller calls release.
func (p *Plugin) acquire(ctx context.Context) (*instance, error) {
	var wait <-chan time.Time
	for {
		p.mu.Lock()
		if p.closing {
			p.mu.Unlock()
			return nil, p.unavailable("it is shut down")
		}
		if i := p.current; i != nil && !i.gone() {
			p.running++
			p.mu.Unlock()
			return i, nil
		}
		changed := p.changed
		p.mu.Unlock()
		if wait == nil {
			timer := time.NewTimer(p.c.RestartWait)
			defer timer.Stop()
			wait = timer.C
		}
		select {
		case <-changed:
		case <-wait:
			return nil, p.unavailable("restart.wait of " + p.c.RestartWait.String() + " is over")
		case <-ctx.Done():
			if ctx.Err() == context.DeadlineExceeded {
				return nil, p.unavailable("it did not come back before the deadline")
			}
			return nil, &backend.Error{Kind: backend.KindCancelled, Cause: context.Cause(ctx)}
		}
	}
}

// release ends the use of an instance.
func (p *Plugin) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	if p.running == 0 && p.idle != nil {
		close(p.idle)
		p.idle = nil
	}
}

// unavailable makes the error of a call that found no instance.
func (p *Plugin) unavailable(why string) error {
	p.mu.Lock()
	last := p.lastError
	p.mu.Unlock()
	return &backend.Error{Kind: backend.KindUnavailable, Message: "the server is temporarily unavailable",
		Detail: "plugin " + p.c.Name + ": " + why, Cause: last}
}

// settleTime is how long a process may take to exit after its connection broke.
const settleTime = time.Second

// dead finds out whether a plugin whose connection failed is dead, and makes sure
// that it is if it does not answer. It returns after the process has exited, or has answered.
func (p *Plugin) dead(ctx context.Context, i *instance) bool {
	if i.proc == nil {
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

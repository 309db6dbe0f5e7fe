package host

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// order is what an operator wants of the supervisor: that i takes the place of the
// current instance, or that there is none (Disable).
type order struct {
	i    *instance // nil: none
	c    Config    // of i
	done chan struct{}
}

// supervise replaces the instance whenever it ends or an order says so, until ctx ends. It leaves the last one running.
func (p *Plugin) supervise(ctx context.Context, i *instance) {
	defer close(p.ended)
	c := p.config()
	pause := c.RestartMin
	failures := breaker{limit: c.RestartLimit, window: c.RestartWindow}
	for ctx.Err() == nil {
		var o *order
		if i != nil {
			if o = p.watch(ctx, i); o == nil && ctx.Err() == nil { // it has ended
				p.lost(i, &pause, &failures)
				i = nil
			}
		} else {
			o, i = p.revive(ctx, &pause, &failures)
		}
		if o != nil {
			i = p.obey(o)
			c = p.config()
			pause, failures = c.RestartMin, breaker{limit: c.RestartLimit, window: c.RestartWindow}
		}
	}
}

// watch waits for an order, and for the end of the instance or of ctx: then it returns nil. Meanwhile it asks for
// the instance's health.
func (p *Plugin) watch(ctx context.Context, i *instance) *order {
	ticker := time.NewTicker(p.config().HealthInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-i.exited:
			return nil
		case o := <-p.orders:
			return o
		case <-ticker.C:
			p.checkHealth(ctx, i)
		}
	}
}

// checkHealth logs a plugin that is not well, and kills one that does not answer.
func (p *Plugin) checkHealth(ctx context.Context, i *instance) {
	interval := p.config().HealthInterval
	ctx, cancel := context.WithTimeout(ctx, interval)
	defer cancel()
	err := i.plugin.Health(ctx)
	p.stats.unhealthy.Store(err != nil)
	if err == nil {
		return
	}
	if ctx.Err() == context.DeadlineExceeded && !i.inproc() {
		p.log.Error("plugin does not answer, killing it", "health_interval", interval)
		i.kill()
		return
	}
	if ctx.Err() == nil {
		p.log.Warn("plugin is not well", "err", err)
	}
}

// lost deals with the end of an instance that nobody asked for.
func (p *Plugin) lost(i *instance, pause *time.Duration, failures *breaker) {
	c := p.config()
	p.take(StateRestarting)
	lived := time.Since(i.started)
	i.abandon()
	err := errors.New(i.ending())
	switch {
	case lived >= c.RestartReset:
		*pause = c.RestartMin
		failures.reset()
	case i.served.Load(): // it can run: clients need not wait as long as for one that can not
		*pause = min(*pause, c.RestartServed)
		failures.reset()
	case failures.trip(time.Now()):
		p.rest(err, c)
		return
	}
	p.failed(err)
}

// failed notes why there is no instance.
func (p *Plugin) failed(err error) {
	p.log.Error("plugin is down", "err", err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastError = err
}

// rest makes calls fail at once until the next start.
func (p *Plugin) rest(err error, c Config) {
	p.log.Error("plugin fails again and again, it rests; when the cause is removed: roost plugin reload "+c.Name,
		"err", err, "restart.limit", c.RestartLimit, "restart.rest", c.RestartRest)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastError, p.state = err, StateFailed
	p.notify()
}

// revive waits for an order, or makes an instance after the pause that the state asks for; pause doubles with each attempt.
func (p *Plugin) revive(ctx context.Context, pause *time.Duration, failures *breaker) (*order, *instance) {
	c, wait := p.config(), (<-chan time.Time)(nil) // StateDisabled: for ever
	state, _ := p.State()
	if state != StateDisabled {
		d := *pause
		if state == StateFailed {
			d = c.RestartRest
		}
		timer := time.NewTimer(jitter(d))
		defer timer.Stop()
		wait = timer.C
	}
	select {
	case <-ctx.Done():
		return nil, nil
	case o := <-p.orders:
		return o, nil
	case <-wait:
	}
	*pause = min(2**pause, c.RestartMax)
	i, err := p.start(ctx, c)
	switch {
	case ctx.Err() != nil:
		if i != nil {
			i.abandon()
		}
		return nil, nil
	case err == nil:
		p.stats.restarts.Add(1)
		p.install(i, c)
		return nil, i
	case failures.trip(time.Now()):
		p.rest(err, c)
	default:
		p.failed(err)
	}
	return nil, nil
}

// jitter spreads a pause by a fifth, so that plugins that died together do not start together.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)*0.4*float64(d))
}

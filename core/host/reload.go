package host

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// Reload puts a new instance, started with c, in the place of the current one; or starts a plugin that is disabled, rests
// or is down. The new one is called as soon as it has been configured and is healthy; calls that are under way on the old
// one finish there, for at most c.DrainTimeout, while both live. If the new one fails, everything stays as it was.
//
// Name, kind, read-only and what calls rely on stay: a new one that lacks a capability of the old one is refused.
// In c, only what the operator may change is different from the configuration so far.
func (p *Plugin) Reload(ctx context.Context, c Config) error {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return err
	}
	p.ordering.Lock()
	defer p.ordering.Unlock()
	if c.Name != p.name || c.Kind != p.kind || c.Plugin.ReadOnly != p.readOnly {
		return fmt.Errorf("host: plugin %s: a change of its name, kind or read_only needs a restart of the server", p.name)
	}
	ctx, cancel := p.whileOpen(ctx)
	defer cancel()
	i, err := p.start(ctx, c)
	if err == nil {
		if err = p.fits(ctx, i, c); err != nil {
			i.discard(c.CloseTimeout)
		}
	}
	if err != nil {
		p.log.Error("plugin is not reloaded", "err", err)
		return err
	}
	return p.order(&order{i: i, c: c})
}

// fits reports whether a new instance can take the place of the one before.
func (p *Plugin) fits(ctx context.Context, i *instance, c Config) error {
	for _, capability := range p.Info().Capabilities {
		switch capability {
		case backend.CapLanes, backend.CapLaneMemory, backend.CapListenGapless: // between the host and the process: they concern no caller
			continue
		}
		if !i.info.Has(capability) {
			return fmt.Errorf("host: plugin %s: the new process has no capability %q, which sessions rely on: restart the server to do without", c.Name, capability)
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.HealthInterval, fmt.Errorf("health_interval of %v is over", c.HealthInterval))
	defer cancel()
	if err := i.plugin.Health(ctx); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return fmt.Errorf("host: plugin %s: the new process is not well: %w", c.Name, err)
	}
	return nil
}

// Disable ends the plugin's process, after calls that are under way, and refuses calls until Enable or Reload.
func (p *Plugin) Disable() error {
	p.ordering.Lock()
	defer p.ordering.Unlock()
	return p.order(&order{c: p.config()})
}

// whileOpen returns a context that also ends with Close.
func (p *Plugin) whileOpen(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(p.life, func() { cancel(errClosed) })
	return ctx, func() { stop(); cancel(nil) }
}

// order has the supervisor obey. p.ordering is held.
func (p *Plugin) order(o *order) error {
	o.done = make(chan struct{})
	select {
	case p.orders <- o:
		<-o.done
		return nil
	case <-p.ended:
		if o.i != nil {
			o.i.abandon()
		}
		return errClosed
	}
}

// obey is the supervisor's part of an order. It returns the instance that is current then.
func (p *Plugin) obey(o *order) *instance {
	defer close(o.done)
	old := p.take(StateRestarting)
	if o.i != nil {
		p.stats.reloads.Add(1)
		p.install(o.i, o.c)
	} else {
		p.log.Warn("plugin is disabled")
		p.mu.Lock()
		p.state, p.lastError = StateDisabled, errDisabled
		p.notify()
		p.mu.Unlock()
	}
	if old != nil {
		p.retire(old)
	}
	return o.i
}

// retire ends an instance that is not called any more, in the background: when the last call on it
// has ended, or after drain_timeout.
func (p *Plugin) retire(i *instance) {
	c := p.config()
	i.end()
	p.mu.Lock()
	p.retiring = append(p.retiring, i)
	p.mu.Unlock()
	idle := p.quiet(i)
	p.retirements.Go(func() { // ends after drain_timeout and close_timeout, or with Close
		defer func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.retiring = slices.DeleteFunc(p.retiring, func(x *instance) bool { return x == i })
		}()
		timeout := time.NewTimer(c.DrainTimeout)
		defer timeout.Stop()
		select {
		case <-idle:
		case <-i.exited:
		case <-timeout.C:
			p.log.Warn("calls are still under way on the process that was replaced", "pid", i.pid(), "drain_timeout", c.DrainTimeout)
		case <-p.life.Done():
			p.await(idle, c.CloseTimeout)
		}
		i.discard(c.CloseTimeout)
		p.log.Info("plugin process has ended as ordered", "pid", i.pid(), "version", i.info.Version)
	})
}

// await waits for the channel, for a bounded time.
func (p *Plugin) await(idle <-chan struct{}, wait time.Duration) {
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	select {
	case <-idle:
	case <-timeout.C:
		p.log.Warn("calls are still under way at the end", "waited", wait)
	}
}

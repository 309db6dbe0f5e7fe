package host

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// Plugin is a supervised plugin. It is safe for concurrent use.
type Plugin struct {
	host  *Host
	c     Config
	log   *slog.Logger
	stats counters

	mu        sync.Mutex
	current   *instance     // nil while there is none that can be called
	changed   chan struct{} // closed, and replaced, when current or closing changes
	closing   bool          // no more calls
	running   int           // calls that hold an instance
	idle      chan struct{} // non-nil while Close waits for running to become 0; then closed
	info      backend.Info  // of the last instance
	lastError error         // why the last instance ended, or did not start
	onRestart []func()

	stop      context.CancelFunc // ends the supervisor
	ended     chan struct{}      // closed when the supervisor has ended
	closeOnce sync.Once
	closeErr  error
}

func newPlugin(h *Host, c Config) *Plugin {
	return &Plugin{host: h, c: c, log: h.log.With("plugin", c.Name), changed: make(chan struct{}), ended: make(chan struct{})}
}

// Name returns the configured name.
func (p *Plugin) Name() string { return p.c.Name }

// Info returns what the plugin announced when it was started last.
func (p *Plugin) Info() backend.Info {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.info
}

// OnRestart registers a function that is called whenever a new process has taken the
// place of a dead one, before any call can reach it. What belonged to the old process
// is gone: above all its inotify instance with all watches. It must not call
// the plugin.
//
// A call that was begun before OnRestart's functions ran may still return an
// answer of the old process after them. Who keeps something of an answer
// that belongs to one process (Snapshot.Watch) counts the restarts, and drops it if the
// count changed between the begin and the end of the call.
func (p *Plugin) OnRestart(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onRestart = append(p.onRestart, f)
}

// start makes a configured instance.
func (p *Plugin) start(ctx context.Context) (*instance, error) {
	i, err := p.host.newInstance(ctx, p.c, p.log)
	if err != nil {
		return nil, err
	}
	if err := i.configure(ctx, p.c); err != nil {
		i.abandon()
		return nil, err
	}
	return i, nil
}

// run makes first the current instance and starts the supervisor, which ends with Close.
func (p *Plugin) run(first *instance) {
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.install(first)
	go p.supervise(ctx, first)
}

// install makes i the instance that calls go to.
func (p *Plugin) install(i *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current, p.info = i, i.info
	p.notify()
	p.log.Info("plugin started", "pid", i.pid(), "version", i.info.Version)
}

// notify wakes those who wait for a change. p.mu is held.
func (p *Plugin) notify() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// Close ends the plugin: calls under way get CloseTimeout to finish, and the process
// gets the same again. New calls fail with KindUnavailable. It returns after the process has ended.
func (p *Plugin) Close() error {
	p.closeOnce.Do(func() {
		p.refuse()
		p.stop()
		<-p.ended
		switch i := p.take(); {
		case i == nil:
		case i.gone(): // it died before it could be asked
			i.abandon()
		default:
			p.closeErr = i.close(p.c.CloseTimeout)
		}
	})
	return p.closeErr
}

// refuse lets no more calls in, and waits for those under way, for a bounded time.
func (p *Plugin) refuse() {
	p.mu.Lock()
	p.closing = true
	p.notify()
	idle := make(chan struct{})
	if p.running == 0 {
		close(idle)
	} else {
		p.idle = idle
	}
	p.mu.Unlock()
	timeout := time.NewTimer(p.c.CloseTimeout)
	defer timeout.Stop()
	select {
	case <-idle:
	case <-timeout.C:
		p.log.Warn("calls are still under way at the end", "waited", p.c.CloseTimeout)
	}
}

// take removes the current instance and returns it.
func (p *Plugin) take() *instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.current
	p.current = nil
	p.notify()
	return i
}

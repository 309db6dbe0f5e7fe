package host

import (
	"context"
	"log/slog"
	"sync"

	"github.com/roostmail/roost/core/backend"
)

// Plugin is a supervised plugin. It is safe for concurrent use.
type Plugin struct {
	host     *Host
	name     string
	kind     backend.Kind
	readOnly bool // nothing may be changed on disk
	log      *slog.Logger
	ring     *ring // the last lines of log
	stats    counters

	mu        sync.Mutex
	c         Config // as it was started last
	state     State
	current   *instance     // nil while there is none that can be called
	retiring  []*instance   // those that were replaced, while calls are under way on them
	changed   chan struct{} // closed, and replaced, when current, state or closing changes
	closing   bool          // no more calls
	info      backend.Info  // of the last instance
	lastError error         // why the last instance ended, or did not start
	onRestart []func()

	ordering sync.Mutex  // held by who gives an order
	orders   chan *order // to the supervisor

	life        context.Context // of the supervisor
	stop        context.CancelFunc
	ended       chan struct{} // closed when the supervisor has ended
	retirements sync.WaitGroup
	closeOnce   sync.Once
	closeErr    error
}

func newPlugin(h *Host, c Config) *Plugin {
	lines := newRing(c.LogLines)
	log := slog.New(&ringHandler{Handler: h.log.With("plugin", c.Name).Handler(), ring: lines})
	p := &Plugin{host: h, name: c.Name, kind: c.Kind, readOnly: c.Plugin.ReadOnly, c: c, log: log, ring: lines, changed: make(chan struct{}), orders: make(chan *order), ended: make(chan struct{})}
	p.life, p.stop = context.WithCancel(context.Background())
	return p
}

// config returns the configuration in force.
func (p *Plugin) config() Config {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.c
}

// State returns what the plugin is doing, and the reason of its last failure, nil if there was none.
func (p *Plugin) State() (State, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state, p.lastError
}

// Name returns the configured name.
func (p *Plugin) Name() string { return p.name }

// Info returns what the plugin announced when it was started last.
func (p *Plugin) Info() backend.Info {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.info
}

// OnRestart registers a function that is called whenever a new process has taken the
// place of one that is dead or was replaced, before any call can reach it. What belonged to the old process
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
func (p *Plugin) start(ctx context.Context, c Config) (*instance, error) {
	i, err := p.host.newInstance(ctx, c, p.log)
	if err != nil {
		return nil, err
	}
	if err := i.configure(ctx, c); err != nil {
		i.abandon()
		return nil, err
	}
	return i, nil
}

// run makes first the current instance and starts the supervisor, which ends with Close.
func (p *Plugin) run(first *instance) {
	p.install(first, p.config())
	go p.supervise(p.life, first)
}

// install makes i, started with c, the instance that calls go to. There is none at that time.
func (p *Plugin) install(i *instance, c Config) {
	p.mu.Lock()
	hooks := p.onRestart
	p.mu.Unlock()
	for _, hook := range hooks {
		hook()
	}
	p.stats.unhealthy.Store(false)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current, p.info, p.c, p.state = i, i.info, c, StateRunning
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
		c := p.config()
		if i := p.take(StateClosed); i != nil {
			p.await(p.quiet(i), c.CloseTimeout)
			p.closeErr = i.discard(c.CloseTimeout)
		}
		p.retirements.Wait()
	})
	return p.closeErr
}

// refuse lets no more calls in.
func (p *Plugin) refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closing = true
	p.notify()
}

// take removes the current instance and returns it.
func (p *Plugin) take(next State) *instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.current
	p.current, p.state = nil, next
	p.notify()
	return i
}

package hibernate

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
)

// Cache is what is governed: *mailbox.Registry, which says what the methods do.
type Cache interface {
	Govern(governed bool)
	Candidates(most int, idle time.Duration, kept bool) []mailbox.Candidate
	Keep(id uint32, used, until time.Time) bool
	Park(id uint32, used time.Time) bool
	Drop(id uint32, used time.Time) bool
	Usage() mailbox.Usage
}

// Sample is what the server does at one time. Counters count since the start.
type Sample struct {
	Memory   uint64 // bytes in use
	GCs      uint64 // cycles of the garbage collector that have ended
	Queued   int    // tasks that wait for a worker
	Running  int    // workers that run
	Workers  int    // workers that there are
	Sessions int
	Logins   uint64
}

// Config holds the settings of a Governor.
type Config struct {
	// Policy is asked what to do; nil = the default is all there is. Name is its plugin's, for the log.
	Policy backend.Hibernation
	Name   string
	// Warm is how long a mailbox stays warm by default.
	Warm time.Duration
	// Interval is between two looks, Timeout the longest that the policy is waited for.
	Interval, Timeout time.Duration
	// Batch is the most mailboxes of one call, not more than pluginrpc.MaxCandidates.
	Batch int
	// Memory and Queue are the marks, in bytes and in tasks; 0 = none.
	Memory uint64
	Queue  uint32
}

// Governor puts mailboxes to sleep.
type Governor struct {
	cfg    Config
	cache  Cache
	sample func() Sample
	log    *slog.Logger

	ctx    context.Context // of calls
	cancel context.CancelFunc
	wg     sync.WaitGroup
	counts counts

	// The rest is the loop's.
	started time.Time
	rates   rates
	freed   freed
	quota   int           // how many are parked by default because of the run queue, in this look
	warm    time.Duration // in force
	soft    uint64        // HibernationAnswer.SoftBytes in force
	softEnd time.Time     // until then
	failed  int           // calls in a row
	retry   time.Time     // the policy is not asked before
	logged  time.Time     // of the last line about a failure
	quiet   int           // failures without a line since
}

// Start starts a Governor. It ends with Close, which must come before the cache's.
func Start(cfg Config, cache Cache, sample func() Sample, log *slog.Logger) *Governor {
	g := newGovernor(cfg, cache, sample, log)
	cache.Govern(cfg.Policy != nil)
	g.wg.Go(g.run) // ends with Close
	return g
}

func newGovernor(cfg Config, cache Cache, sample func() Sample, log *slog.Logger) *Governor {
	g := &Governor{cfg: cfg, cache: cache, sample: sample, log: log, started: time.Now(), warm: cfg.Warm}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	g.rates.at = g.started
	g.counts.byDefault.Store(cfg.Policy == nil)
	g.counts.warm.Store(int64(g.warm))
	return g
}

// Close ends the loop, and a call under way.
func (g *Governor) Close() {
	g.cancel()
	g.wg.Wait()
}

func (g *Governor) run() {
	ticker := time.NewTicker(g.cfg.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-g.ctx.Done():
			return
		case <-ticker.C:
			g.step(time.Now())
		}
	}
}

// rounds bounds the batches of one look.
const rounds = 16

// step is one look.
func (g *Governor) step(now time.Time) {
	l := g.load(now)
	if g.cfg.Policy != nil && !now.Before(g.retry) && g.ask(&l) {
		g.soften(now)
		return
	}
	g.byDefault(&l)
}

// ask lets the policy decide. It returns false if it failed.
func (g *Governor) ask(l *backend.HibernationLoad) bool {
	for range rounds {
		idle, pressed := g.warm, l.Pressed()
		if pressed {
			idle = 0
		}
		cs := g.cache.Candidates(g.cfg.Batch, idle, pressed)
		if len(cs) == 0 {
			return true
		}
		a, err := g.decide(cs, l)
		if err != nil {
			if g.ctx.Err() == nil {
				g.fail(err)
			}
			return false
		}
		g.succeed(a)
		g.rest(g.apply(cs, a, l), l)
		if pressed || len(cs) < g.cfg.Batch { // under pressure those that were kept would be asked about again
			return true
		}
	}
	return true
}

// apply does what an answer says, and returns the candidates that it leaves out.
func (g *Governor) apply(cs []mailbox.Candidate, a *backend.HibernationAnswer, l *backend.HibernationLoad) []mailbox.Candidate {
	now := time.Now()
	var left []mailbox.Candidate
	n := 0
	for _, c := range cs {
		if n == len(a.IDs) || a.IDs[n] != c.ID {
			left = append(left, c)
			continue
		}
		switch a.Actions[n] {
		case backend.ActionPark:
			g.park(c, l)
		case backend.ActionDrop:
			if g.cache.Drop(c.ID, c.Used) {
				g.counts.dropped.Add(1)
				g.gone(c, l)
			}
		default:
			again := max(time.Duration(a.Again[n])*time.Millisecond, g.cfg.Interval)
			if g.cache.Keep(c.ID, c.Used, now.Add(again)) {
				g.counts.kept.Add(1)
			}
		}
		n++
	}
	return left
}

// park parks a candidate.
func (g *Governor) park(c mailbox.Candidate, l *backend.HibernationLoad) bool {
	if !g.cache.Park(c.ID, c.Used) {
		return false
	}
	g.counts.parked.Add(1)
	g.gone(c, l)
	return true
}

// gone takes what was given back out of the load, ahead of the garbage collector.
func (g *Governor) gone(c mailbox.Candidate, l *backend.HibernationLoad) {
	n := uint64(max(c.Bytes, 0))
	g.freed.bytes += n
	l.MemoryUsed -= min(n, l.MemoryUsed)
}

// softLooks is for how many looks SoftBytes is in force: a bound that parks all would else never be lifted.
const softLooks = 10

// soften parks what exceeds the policy's own bound.
func (g *Governor) soften(now time.Time) {
	if g.soft == 0 || now.After(g.softEnd) {
		return
	}
	bytes := uint64(max(g.cache.Usage().Bytes, 0))
	if bytes <= g.soft {
		return
	}
	var l backend.HibernationLoad
	for _, c := range g.cache.Candidates(g.cfg.Batch, 0, true) {
		if bytes <= g.soft {
			return
		}
		if g.park(c, &l) {
			bytes -= min(uint64(max(c.Bytes, 0)), bytes)
		}
	}
}

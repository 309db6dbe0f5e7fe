package relay

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// Source tells of changes: *mailbox.Registry.
type Source interface {
	OnNews(f func(u *backend.User, c backend.MailboxChange))
}

// Sink is told of changes on other servers: *imap.Server.
type Sink interface {
	Elsewhere(c backend.MailboxChange)
	ElsewhereLost()
}

// Status is the part of backend.Storage that is asked how mailboxes are.
type Status interface {
	Status(ctx context.Context, u *backend.User, namespace string, names []string, items backend.StatusItems) ([]backend.MailboxStatus, error)
}

// Config holds the settings of a Relay, as in [notify].
type Config struct {
	// Plugin takes the news, and tells those of other servers if it is a backend.Listener with CapListen. Name is for the log.
	Plugin backend.Notify
	Name   string
	// Node is the name of this server.
	Node string
	// Delay is how long the first change of a batch waits for others, Timeout the longest that a call may take.
	Delay, Timeout time.Duration
	// Queue is how many mailboxes may wait, Batch how many changes a call takes, at most backend.MaxChanges.
	Queue, Batch int
}

// Relay is what stands between the mailboxes and the notify plugin.
type Relay struct {
	cfg     Config
	storage Status
	sink    Sink
	log     *slog.Logger
	queue   *queue
	heard   *heard
	counts  counts

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// counts are totals.
type counts struct{ published, failures, refused, dropped, heard, lost, echoes atomic.Uint64 }

// Stats are the figures of a Relay. Counters count since the start.
type Stats struct {
	Waiting   int    // mailboxes in the queue
	Published uint64 // changes that the plugin has taken
	Failures  uint64 // calls that failed
	Refused   uint64 // changes that the plugin has refused: they are dropped
	Dropped   uint64 // mailboxes dropped because of [notify] queue
	Heard     uint64 // changes on other servers
	Lost      uint64 // times that everything was taken for changed
	Echoes    uint64 // changes that were not told on, because another server had told of them
}

// Stats returns the figures.
func (r *Relay) Stats() Stats {
	c := &r.counts
	return Stats{Waiting: r.queue.len(), Published: c.published.Load(), Failures: c.failures.Load(), Refused: c.refused.Load(),
		Dropped: c.dropped.Load(), Heard: c.heard.Load(), Lost: c.lost.Load(), Echoes: c.echoes.Load()}
}

// Start starts a Relay. It ends with Close, which must come before that of source, sink, storage and plugin.
func Start(cfg Config, source Source, sink Sink, storage Status, log *slog.Logger) *Relay {
	r := &Relay{cfg: cfg, storage: storage, sink: sink, log: log.With("plugin", cfg.Name), queue: newQueue(cfg.Queue), heard: newHeard(cfg.Queue)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	source.OnNews(r.tell)
	r.wg.Go(r.publish) // ends with Close
	if l, ok := cfg.Plugin.(backend.Listener); ok && cfg.Plugin.Info().Has(backend.CapListen) {
		r.wg.Go(func() { r.listen(l) }) // ends with Close
	}
	return r
}

// Close tries once more to hand over what waits, for up to Config.Timeout, and ends the relay.
func (r *Relay) Close() {
	r.cancel()
	r.wg.Wait()
}

// tell is called with every change. It does not block.
func (r *Relay) tell(u *backend.User, c backend.MailboxChange) {
	if r.heard.echoes(&c) {
		r.counts.echoes.Add(1)
		return
	}
	c.Node = r.cfg.Node
	r.drop(r.queue.add(&pending{user: u, change: c}))
}

// drop counts mailboxes that were dropped.
func (r *Relay) drop(n int) {
	if n > 0 && r.counts.dropped.Add(uint64(n)) == uint64(n) {
		r.log.Warn("changes of mailboxes are dropped, because too many wait for the plugin", "limit", "[notify] queue", "queue", r.cfg.Queue)
	}
}

// pauses are what is waited after failures.
type pauses struct{ next time.Duration }

const shortestPause, longestPause = time.Second, 30 * time.Second

// wait waits longer each time, until ctx ends.
func (p *pauses) wait(ctx context.Context) {
	p.next = min(max(p.next, shortestPause), longestPause)
	timer := time.NewTimer(p.next)
	defer timer.Stop()
	p.next *= 2
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

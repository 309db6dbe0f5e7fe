package mdbox

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// purger removes, in the background, what nobody refers to any more from the mail files of stores in which messages were expunged:
// one store at a time, and each at the earliest purge_interval after the first expunge since its last purge.
type purger struct {
	interval time.Duration
	stores   *stores
	log      *slog.Logger

	mu  sync.Mutex
	due map[place]time.Time

	cancel context.CancelFunc
	ended  chan struct{}
}

// maxDue bounds the stores that are noted; those of further users are purged after a later expunge.
const maxDue = 100_000

// purgeTick is how often is looked for stores that are due.
const purgeTick = time.Minute

// newPurger starts the purger, which close ends. interval is not 0.
func newPurger(interval time.Duration, s *stores, log *slog.Logger) *purger {
	ctx, cancel := context.WithCancel(context.Background())
	p := &purger{interval: interval, stores: s, log: log, due: map[place]time.Time{}, cancel: cancel, ended: make(chan struct{})}
	go p.run(ctx) // ended by close
	return p
}

func (p *purger) close() {
	if p == nil {
		return
	}
	p.cancel()
	<-p.ended
}

// expunged notes that messages of a store have lost references. p may be nil.
func (p *purger) expunged(at place) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, noted := p.due[at]; !noted && len(p.due) < maxDue {
		p.due[at] = time.Now().Add(p.interval)
	}
}

func (p *purger) run(ctx context.Context) {
	defer close(p.ended)
	tick := time.NewTicker(min(purgeTick, p.interval))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, at := range p.take(now) {
				p.purge(ctx, at)
			}
		}
	}
}

// take returns the stores that are due, and forgets them.
func (p *purger) take(now time.Time) (due []place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for at, when := range p.due {
		if !now.Before(when) {
			due = append(due, at)
			delete(p.due, at)
		}
	}
	return due
}

func (p *purger) purge(ctx context.Context, at place) {
	if ctx.Err() != nil {
		return
	}
	store, release, err := p.stores.store(at)
	if err != nil {
		return
	}
	defer release()
	done, err := store.Purge(ctx, nil)
	if err != nil && ctx.Err() == nil {
		p.log.Warn("purge failed", "root", at.location.Root, "err", err)
		return
	}
	if done.Files > 0 {
		p.log.Info("purged", "root", at.location.Root, "files", done.Files, "messages", done.Messages, "moved", done.Moved, "bytes", done.Bytes)
	}
}

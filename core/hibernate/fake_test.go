package hibernate

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
)

// fakeCache holds mailboxes of 100 bytes.
type fakeCache struct {
	mu       sync.Mutex
	governed bool
	list     []mailbox.Candidate // the least recently used first
	kept     map[uint32]time.Time
	woken    uint64
	parked   []uint32
	dropped  []uint32
}

// use makes that a mailbox was used now.
func (f *fakeCache) use(sessions uint32, ids ...uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		f.remove(id)
		f.list = append(f.list, mailbox.Candidate{ID: id, Key: uint64(id) << 8, User: 9, Used: time.Now(), Bytes: 100, Sessions: sessions})
	}
}

func (f *fakeCache) remove(id uint32) {
	f.list = slices.DeleteFunc(f.list, func(c mailbox.Candidate) bool { return c.ID == id })
	delete(f.kept, id)
}

func (f *fakeCache) Govern(governed bool) { f.governed = governed }

func (f *fakeCache) Candidates(most int, idle time.Duration, kept bool) []mailbox.Candidate {
	f.mu.Lock()
	defer f.mu.Unlock()
	var cs []mailbox.Candidate
	for _, c := range f.list {
		c.Idle = time.Since(c.Used)
		if len(cs) < most && c.Idle >= idle && (kept || !f.kept[c.ID].After(time.Now())) {
			cs = append(cs, c)
		}
	}
	return cs
}

// rests reports whether a mailbox was not used since.
func (f *fakeCache) rests(id uint32, used time.Time) bool {
	return slices.ContainsFunc(f.list, func(c mailbox.Candidate) bool { return c.ID == id && c.Used.Equal(used) })
}

func (f *fakeCache) Keep(id uint32, used, until time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	ok := f.rests(id, used)
	if ok {
		f.kept[id] = until
	}
	return ok
}

func (f *fakeCache) Park(id uint32, used time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	ok := f.rests(id, used)
	if ok {
		f.remove(id)
		f.parked = append(f.parked, id)
	}
	return ok
}

func (f *fakeCache) Drop(id uint32, used time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	ok := f.rests(id, used)
	if ok {
		f.remove(id)
		f.dropped = append(f.dropped, id)
	}
	return ok
}

func (f *fakeCache) Usage() mailbox.Usage {
	f.mu.Lock()
	defer f.mu.Unlock()
	return mailbox.Usage{Open: len(f.list), Bytes: int64(100 * len(f.list)), Woken: f.woken}
}

// took returns what was parked since the last call.
func (f *fakeCache) took() []uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.parked
	f.parked = nil
	return p
}

// policy answers with its function, and notes the ids of every batch.
type policy struct {
	mu     sync.Mutex
	asked  [][]uint32
	last   *backend.HibernationBatch
	answer func(ctx context.Context, b *backend.HibernationBatch) (*backend.HibernationAnswer, error)
}

func (p *policy) Info() backend.Info {
	return backend.Info{Kind: backend.KindHibernation, Name: "fake"}
}
func (p *policy) Configure(context.Context, backend.Config) error { return nil }
func (p *policy) Health(context.Context) error                    { return nil }
func (p *policy) Close() error                                    { return nil }

func (p *policy) Decide(ctx context.Context, b *backend.HibernationBatch) (*backend.HibernationAnswer, error) {
	p.mu.Lock()
	p.asked = append(p.asked, slices.Clone(b.IDs))
	p.last = b
	answer := p.answer
	p.mu.Unlock()
	return answer(ctx, b)
}

// becomes exchanges the policy's function.
func (p *policy) becomes(answer func(context.Context, *backend.HibernationBatch) (*backend.HibernationAnswer, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

// questions returns the batches since the last call.
func (p *policy) questions() [][]uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.asked
	p.asked = nil
	return q
}

// all answers with one action for each mailbox.
func all(action backend.HibernationAction, again uint32) func(context.Context, *backend.HibernationBatch) (*backend.HibernationAnswer, error) {
	return func(_ context.Context, b *backend.HibernationBatch) (*backend.HibernationAnswer, error) {
		a := &backend.HibernationAnswer{IDs: b.IDs}
		for range b.IDs {
			a.Actions = append(a.Actions, action)
			a.Again = append(a.Again, again)
		}
		return a, nil
	}
}

// logBuffer is the log.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// fixture is a Governor in a bubble of synctest, which looks once a second.
type fixture struct {
	*Governor
	cache  *fakeCache
	policy *policy // nil = none
	log    *logBuffer
	mu     sync.Mutex
	now    Sample
}

// load sets what the server does from now on.
func (f *fixture) setLoad(s Sample) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = s
}

func start(t *testing.T, cfg Config, p *policy) *fixture {
	f := &fixture{cache: &fakeCache{kept: map[uint32]time.Time{}}, policy: p, log: &logBuffer{}}
	if p != nil {
		cfg.Policy, cfg.Name = p, "hibernation/fake"
	}
	if cfg.Batch == 0 {
		cfg.Batch = 100
	}
	cfg.Warm, cfg.Interval, cfg.Timeout = 5*time.Second, time.Second, 300*time.Millisecond
	f.Governor = Start(cfg, f.cache, func() Sample {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.now
	}, slog.New(slog.NewTextHandler(f.log, nil)))
	t.Cleanup(f.Close)
	time.Sleep(time.Second / 2) // the looks are at half of each second
	return f
}

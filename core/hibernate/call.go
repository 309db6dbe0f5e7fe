package hibernate

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
)

// longestPause is the longest that a policy which fails is left alone.
const longestPause = 30 * time.Second

// logPause is the shortest time between two lines about failures.
const logPause = 10 * time.Second

// decide asks the policy. The error says which rule an answer breaks.
func (g *Governor) decide(cs []mailbox.Candidate, l *backend.HibernationLoad) (*backend.HibernationAnswer, error) {
	b := g.batch(cs, l)
	ctx, cancel := context.WithTimeout(g.ctx, g.cfg.Timeout)
	defer cancel()
	g.counts.calls.Add(1)
	a, err := g.cfg.Policy.Decide(ctx, b)
	switch {
	case err != nil && ctx.Err() == context.DeadlineExceeded:
		return nil, fmt.Errorf("no answer within [hibernation] timeout of %v: %w", g.cfg.Timeout, err)
	case err != nil:
		return nil, err
	case a == nil:
		return nil, fmt.Errorf("neither an answer nor an error")
	}
	if err := a.Check(b); err != nil { // of a plugin in this process nobody else has checked it
		return nil, fmt.Errorf("a wrong answer: %w", err)
	}
	return a, nil
}

// batch makes the question.
func (g *Governor) batch(cs []mailbox.Candidate, l *backend.HibernationLoad) *backend.HibernationBatch {
	n := len(cs)
	b := &backend.HibernationBatch{
		Now: time.Since(g.started), Load: *l,
		IDs: make([]uint32, n), Keys: make([]uint64, n), UserKeys: make([]uint64, n),
		Idle: make([]uint32, n), Gaps: make([]uint32, n), Wakes: make([]uint32, n),
		Sessions: make([]uint32, n), Bytes: make([]uint64, n), States: make([]backend.HibernationState, n),
	}
	for i, c := range cs {
		b.IDs[i], b.Keys[i], b.UserKeys[i] = c.ID, c.Key, c.User
		b.Idle[i], b.Gaps[i], b.Wakes[i] = milliseconds(c.Idle), milliseconds(c.Gap), uint32(c.Wakes)
		b.Sessions[i], b.Bytes[i], b.States[i] = c.Sessions, uint64(max(c.Bytes, 0)), backend.StateWarm
		if c.Sessions == 0 {
			b.States[i] = backend.StateLeft
		}
	}
	return b
}

func milliseconds(d time.Duration) uint32 {
	return uint32(min(max(d.Milliseconds(), 0), math.MaxUint32))
}

// succeed takes over the thresholds of an answer.
func (g *Governor) succeed(a *backend.HibernationAnswer) {
	if g.counts.byDefault.Swap(false) {
		g.log.Info("the hibernation policy is in force again", "plugin", g.cfg.Name)
	}
	g.failed = 0
	g.soft, g.softEnd = a.SoftBytes, time.Now().Add(softLooks*g.cfg.Interval)
	if g.warm = a.Warm; g.warm == 0 {
		g.warm = g.cfg.Warm
	}
	g.counts.warm.Store(int64(g.warm))
}

// fail puts the default in force until the policy has answered again.
func (g *Governor) fail(err error) {
	now := time.Now()
	g.counts.failures.Add(1)
	g.counts.byDefault.Store(true)
	g.warm, g.soft = g.cfg.Warm, 0
	g.counts.warm.Store(int64(g.warm))
	g.retry = now.Add(min(g.cfg.Interval<<min(g.failed, 16), longestPause))
	g.failed++
	if !g.logged.IsZero() && now.Sub(g.logged) < logPause {
		g.quiet++
		return
	}
	g.log.Error("the hibernation policy failed, the default is in force", "plugin", g.cfg.Name, "error", err, "more", g.quiet)
	g.logged, g.quiet = now, 0
}

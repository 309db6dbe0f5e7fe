package host

import (
	"errors"
	"fmt"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// State is what a plugin is doing.
type State uint8

// States.
const (
	StateRunning    State = iota // it can be called
	StateRestarting              // it is down; calls wait for the next start
	StateFailed                  // it rests after too many starts that failed; calls are refused
	StateDisabled                // an operator has ended it; calls are refused
	StateClosed                  // core ends
)

var stateNames = [...]string{"running", "restarting", "failed", "disabled", "closed"}

// String returns the state as "roost plugin list" shows it.
func (s State) String() string { return stateNames[s] }

// States returns the names of all states.
func States() []string { return stateNames[:] }

// breaker counts the starts in a row that failed: those that did not come up, and processes that ended early
// and without an answer to any call. One that is called is not in a crash loop, however often it is killed.
type breaker struct {
	limit  int           // restart.limit
	window time.Duration // restart.window
	failed []time.Time   // in a row, within the window
}

// trip notes a failure, and reports whether the plugin is to rest.
func (b *breaker) trip(now time.Time) bool {
	old := 0
	for old < len(b.failed) && now.Sub(b.failed[old]) > b.window {
		old++
	}
	b.failed = append(b.failed[old:], now)
	if len(b.failed) > b.limit { // as many as the limit are enough to decide
		b.failed = b.failed[1:]
	}
	return len(b.failed) >= b.limit
}

// reset forgets all failures.
func (b *breaker) reset() { b.failed = b.failed[:0] }

// refused returns the error of a call that is not to wait, nil in a state in which calls can be made or wait. p.mu is held.
func (p *Plugin) refused() error {
	switch {
	case p.closing:
		return p.refusal("it is shut down", p.lastError)
	case p.state == StateDisabled:
		return p.refusal("it is disabled; to go on: roost plugin enable "+p.name, nil)
	case p.state == StateFailed:
		return p.refusal(fmt.Sprintf("it has failed %d times in a row (restart.limit) and rests; to start it at once: roost plugin reload %s", p.c.RestartLimit, p.name), p.lastError)
	}
	return nil
}

// refusal makes the error of a call that found no instance.
func (p *Plugin) refusal(why string, cause error) error {
	return &backend.Error{Kind: backend.KindUnavailable, Message: "the server is temporarily unavailable",
		Detail: "plugin " + p.name + ": " + why, Cause: cause}
}

// errDisabled is LastError of a plugin that an operator has ended.
var errDisabled = errors.New("disabled by an operator")

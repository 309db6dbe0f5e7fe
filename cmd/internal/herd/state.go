package herd

import (
	"fmt"
	"strconv"
	"strings"
)

// State is what a session does while it sleeps.
type State uint8

// The states of a sleeping session.
const (
	Unauthenticated State = iota
	Authenticated
	Selected
	Idle
	HalfCommand // selected, and in the middle of a command line
	HalfLiteral // authenticated, and in the middle of a literal
	Unsent      // authenticated, and does not read what it has asked for
	Compressed  // selected, with COMPRESS, after some 2 KB of commands
	states
)

var stateNames = [states]string{"unauthenticated", "authenticated", "selected", "idle", "command", "literal", "unsent", "compressed"}

func (s State) String() string { return stateNames[s] }

// Mix says how many sessions of a herd are in each state: its weights, in order of State.
type Mix [states]int

// ParseMix reads a list such as "selected=3,idle": states with weights, which are 1 when left out.
func ParseMix(text string) (Mix, error) {
	var m Mix
	sum := 0
	for _, item := range strings.Split(text, ",") {
		name, weight, given := strings.Cut(strings.TrimSpace(item), "=")
		w := 1
		if given {
			var err error
			if w, err = strconv.Atoi(weight); err != nil || w < 0 || w > 1_000_000 {
				return m, fmt.Errorf("mix: weight %q of %s is not a number up to 1000000", weight, name)
			}
		}
		found := false
		for s, n := range stateNames {
			if n == name {
				m[s], found = m[s]+w, true
			}
		}
		if !found {
			return m, fmt.Errorf("mix: no state %q; there are %s", name, strings.Join(stateNames[:], ", "))
		}
		sum += w
	}
	if sum == 0 {
		return m, fmt.Errorf("mix: %q has no sessions", text)
	}
	return m, nil
}

// String is the mix as ParseMix reads it.
func (m Mix) String() string {
	var b []string
	for s, w := range m {
		if w > 0 {
			b = append(b, fmt.Sprintf("%s=%d", State(s), w))
		}
	}
	return strings.Join(b, ",")
}

// sum returns the sum of all weights.
func (m Mix) sum() int {
	sum := 0
	for _, w := range m {
		sum += w
	}
	return sum
}

// state returns the state of session i: the states take turns, so that every part of a herd is mixed alike.
func (m Mix) state(i int) State {
	sum := m.sum()
	// Weights of a few hundred would put a long run of one state first; a step that shares no divisor with sum spreads them.
	step := sum*5/8 | 1
	for gcd(step, sum) != 1 {
		step += 2
	}
	at := i % sum * step % sum
	for s, w := range m {
		if at < w {
			return State(s)
		}
		at -= w
	}
	return Unauthenticated // not reached: at < sum
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

package traffic

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"
)

// Ledger is what the servers have acknowledged. It is safe for concurrent use.
type Ledger struct {
	mu   sync.Mutex
	kept map[string]bool // tokens of messages that nobody expunges
	own  map[string]ownMailbox
	// Done counts the commands that were answered OK, by name.
	Done map[string]int
	// Refused counts those that were answered NO, by the answer.
	Refused  map[string]int
	problems []string
	names    *names
	runs     int
}

// ownMailbox is the exact state of a mailbox that only one client changes, by token.
type ownMailbox map[string]*ownMessage

type ownMessage struct {
	uid      uint32
	flags    map[string]bool // without \Recent
	expunged bool
	unknown  bool // a command about it was not answered: any state is right
}

func newLedger() *Ledger {
	return &Ledger{kept: map[string]bool{}, own: map[string]ownMailbox{}, Done: map[string]int{}, Refused: map[string]int{}}
}

func (l *Ledger) keep(tokens []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range tokens {
		l.kept[t] = true
	}
}

func (l *Ledger) count(name string, refusal string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if refusal == "" {
		l.Done[name]++
		return
	}
	l.Refused[name+": "+kindOf(refusal)]++
}

var details = regexp.MustCompile(`: .*$| \(\d.*$`)

// kindOf returns a refusal without the names and times in it.
func kindOf(refusal string) string { return details.ReplaceAllString(refusal, "") }

const maxProblems = 50

func (l *Ledger) problem(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.problems) < maxProblems {
		l.problems = append(l.problems, fmt.Sprintf(format, args...))
	}
}

// Kept is the number of messages that must be there.
func (l *Ledger) Kept() int { return len(l.kept) }

// Problems returns what the clients saw that must not be, and what is missing from or wrong in a list of everything.
func (l *Ledger) Problems(all Listing) []string {
	problems := slices.Clone(l.problems)
	there := map[string]bool{}
	for _, box := range all {
		for _, m := range box.Messages {
			there[m.Token] = true
		}
	}
	for _, token := range slices.Sorted(maps.Keys(l.kept)) {
		if !there[token] {
			problems = append(problems, fmt.Sprintf("message %s was acknowledged and is nowhere", token))
		}
	}
	for name, own := range l.own {
		box := all[name]
		if box == nil {
			problems = append(problems, fmt.Sprintf("mailbox %s is missing", name))
			continue
		}
		problems = append(problems, own.problems(name, box)...)
	}
	return problems
}

func (own ownMailbox) problems(name string, box *Mailbox) (problems []string) {
	byToken := map[string]Message{}
	for _, m := range box.Messages {
		byToken[m.Token] = m
		if own[m.Token] == nil {
			problems = append(problems, fmt.Sprintf("%s has a message %s that nobody saved there", name, m.Token))
		}
	}
	for token, want := range own {
		got, there := byToken[token]
		switch {
		case want.unknown:
		case want.expunged == there:
			problems = append(problems, fmt.Sprintf("%s: message %s: expunged %v, there %v", name, token, want.expunged, there))
		case there && got.UID != want.uid:
			problems = append(problems, fmt.Sprintf("%s: message %s has UID %d, was saved as %d", name, token, got.UID, want.uid))
		case there && got.Flags != flagList(want.flags):
			problems = append(problems, fmt.Sprintf("%s: message %s has flags %s, want %s", name, token, got.Flags, flagList(want.flags)))
		}
	}
	return problems
}

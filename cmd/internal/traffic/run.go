package traffic

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// Config says who works on what.
type Config struct {
	User    string
	Servers []Server
	Seed    uint64
	// Continue is the ledger of an earlier Run on the same mail, with as many clients, to go on with; nil = a new one.
	Continue *Ledger
	// Tolerant: commands may fail for a moment, since somebody kills the servers' processes.
	Tolerant bool
	// DiskFull: commands may be refused with [OVERQUOTA].
	DiskFull bool
	// Trace gets a line of each command when it is answered; it is safe for concurrent use. nil: nobody looks.
	Trace io.Writer
}

// Server is a server and the number of its clients.
type Server struct {
	Name, Addr string
	Clients    int
	KeepNames  bool // its clients rename no mailbox
}

// Run lets the clients work until ctx ends, and then until each has finished its command.
func Run(ctx context.Context, cfg Config) (*Ledger, error) {
	l, names := cfg.Continue, &names{list: []string{"INBOX", "Shared1", "Shared2", "Shared3"}}
	if l == nil {
		l = newLedger()
		if err := setUp(cfg, names, l); err != nil {
			return nil, err
		}
	} else {
		names = l.names
	}
	l.names = names
	l.runs++
	var wg sync.WaitGroup
	n := 0
	for _, s := range cfg.Servers {
		for range s.Clients {
			c := &client{cfg: &cfg, server: s, ledger: l, names: names, id: fmt.Sprintf("%s%d.%d", s.Name, n, l.runs), rng: rand.New(rand.NewPCG(cfg.Seed, uint64(n)))}
			c.own, c.ownName = l.own[ownName(n)], ownName(n)
			n++
			wg.Go(func() { c.work(ctx) })
		}
	}
	wg.Wait()
	return l, nil
}

func ownName(n int) string { return fmt.Sprintf("Own%d", n) }

// setUp makes the mailboxes that are there from the start.
func setUp(cfg Config, names *names, l *Ledger) error {
	c, err := rig.Login(cfg.Servers[0].Addr, cfg.User)
	if err != nil {
		return err
	}
	defer c.Close()
	total := 0
	for _, s := range cfg.Servers {
		total += s.Clients
	}
	boxes := slices.Clone(names.list[1:])
	for i := range total {
		boxes = append(boxes, ownName(i))
		l.own[ownName(i)] = ownMailbox{}
	}
	for _, name := range boxes {
		for {
			_, err := c.Cmd("CREATE %s", name)
			if err == nil || cfg.Tolerant && strings.Contains(err.Error(), "[ALREADYEXISTS]") {
				break
			}
			if !cfg.Tolerant || !strings.Contains(err.Error(), "[UNAVAILABLE]") {
				return err
			}
			// Storage was killed in the middle of it, which it may be: it was done or not.
		}
	}
	return openINBOX(cfg)
}

// openINBOX lets one client of each server open INBOX, which a Dovecot makes then: processes of Dovecot 2.3.19 that do so at the same time, for a new
// user, panic now and then, also when nobody else uses the store ("locking failed: Resource deadlock avoided", dovecot.list.index.log).
func openINBOX(cfg Config) error {
	for _, s := range cfg.Servers {
		c, err := rig.Login(s.Addr, cfg.User)
		if err != nil {
			return err
		}
		_, err = c.Cmd("SELECT INBOX")
		c.Close()
		if err != nil && !(cfg.Tolerant && strings.Contains(err.Error(), "[UNAVAILABLE]")) {
			return err
		}
	}
	return nil
}

// names are the mailboxes that all clients share. It is safe for concurrent use.
type names struct {
	mu   sync.Mutex
	list []string
	n    int
	// gate keeps mailboxes from being renamed while somebody changes them: a Dovecot 2.3.19 that has noted a new message in its map, and
	// then finds the mailbox renamed, leaves the map inconsistent, and rebuilds the store, also when nobody else uses it.
	gate sync.RWMutex
}

// hold keeps mailboxes from being renamed until release is called.
func (n *names) hold(boxes ...string) (release func()) {
	n.mu.Lock()
	movable := false
	for _, box := range boxes {
		i := slices.Index(n.list, box)
		movable = movable || i < 0 || i >= fixed
	}
	n.mu.Unlock()
	if !movable {
		return func() {}
	}
	n.gate.RLock()
	return n.gate.RUnlock
}

func (n *names) pick(rng *rand.Rand) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.list[rng.IntN(len(n.list))]
}

// fixed is how many mailboxes at the front are never renamed.
const fixed = 4

// pickMovable returns a mailbox that may be renamed, or "".
func (n *names) pickMovable(rng *rand.Rand) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.list) == fixed {
		return ""
	}
	return n.list[fixed+rng.IntN(len(n.list)-fixed)]
}

// fresh returns a name that nobody has used.
func (n *names) fresh(rng *rand.Rand) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.n++
	if rng.IntN(3) == 0 {
		return fmt.Sprintf("Tree%d/Dyn%d", rng.IntN(3), n.n)
	}
	return fmt.Sprintf("Dyn%d", n.n)
}

const maxNames = 14

func (n *names) full() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.list) >= maxNames
}

func (n *names) add(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, name)
}

func (n *names) replace(old, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if i := slices.Index(n.list, old); i >= 0 {
		n.list[i] = name
	}
}

// has reports whether there is a mailbox of that name: the one that a session has selected may have another by now.
func (n *names) has(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Contains(n.list, name) || strings.HasPrefix(name, "Own")
}

func (n *names) drop(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if i := slices.Index(n.list, name); i >= fixed {
		n.list = slices.Delete(n.list, i, i+1)
	}
}

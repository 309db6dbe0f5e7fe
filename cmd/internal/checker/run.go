package checker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// Config says who works on what. The user's password is rig's, INBOX is the mailbox.
type Config struct {
	User    string
	Servers []Server
	Seed    uint64
	// Tolerant: commands may fail for a moment, and connections may end, since somebody kills the servers' processes.
	Tolerant bool
	// ModSeqsGoBack: Dovecot takes part, which may set HIGHESTMODSEQ back.
	ModSeqsGoBack bool
	// Trace gets a line of each command and response; it is safe for concurrent use. nil: nobody looks.
	Trace io.Writer

	world *world
}

// Server is a server and the number of its connections.
type Server struct {
	Name, Addr string
	Clients    int
	// Judged: what this server says must not contradict itself. The others only take part.
	Judged bool

	capabilities []string
}

// Report is what happened.
type Report struct {
	Commands map[string]int // by name
	Rests    int            // how often everybody was compared
	Lost     int            // connections that a server has ended
}

// round is how many commands each client sends before all come to rest.
const round = 40

// Run lets clients work until ctx ends, and compares them again and again. The error is a *Contradiction, or that of a connection which could not be made.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	cfg.world = newWorld()
	cfg.Servers = slices.Clone(cfg.Servers)
	if err := setUp(&cfg); err != nil {
		return nil, err
	}
	var clients []*client
	for _, s := range cfg.Servers {
		for range s.Clients {
			n := len(clients)
			name := fmt.Sprintf("%s%d.", s.Name, n)
			clients = append(clients, &client{cfg: &cfg, server: s, name: name, trace: trace{name: name, all: cfg.Trace}, rng: rand.New(rand.NewPCG(cfg.Seed, uint64(n))), done: map[string]int{}})
		}
	}
	report := &Report{Commands: map[string]int{}}
	defer func() {
		for _, c := range clients {
			c.hangUp()
			report.Lost += c.lost
			for name, n := range c.done {
				report.Commands[name] += n
			}
		}
	}()
	for ctx.Err() == nil {
		if err := work(ctx, clients); err != nil {
			return report, err
		}
		if err := rest(&cfg, clients); err != nil {
			return report, err
		}
		report.Rests++
	}
	return report, nil
}

// setUp makes the mailbox that messages are moved to, and asks what the servers can.
func setUp(cfg *Config) error {
	for i := range cfg.Servers {
		c, err := rig.Login(cfg.Servers[i].Addr, cfg.User)
		if err != nil {
			return err
		}
		defer c.Close()
		lines, err := c.Cmd("CAPABILITY")
		if err != nil {
			return err
		}
		cfg.Servers[i].capabilities = strings.Fields(strings.ToUpper(string(lines[0])))
		if i == 0 {
			if _, err := c.Cmd("CREATE Other"); err != nil {
				return err
			}
		}
	}
	return nil
}

// work lets each client send some commands.
func work(ctx context.Context, clients []*client) error {
	errs := make([]error, len(clients))
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			for range round {
				if ctx.Err() != nil {
					return
				}
				if err := c.step(); err != nil && !errors.Is(err, errLost) {
					errs[i] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// rest compares the clients, of which none does anything else: what each knows after NOOP is what it is told when it asks for everything, and is the same for all.
func rest(cfg *Config, clients []*client) error {
	for _, c := range clients { // what is done here by the way, to \Recent and by reconnecting, is told to all
		if err := c.settle(); err != nil {
			return err
		}
	}
	var first *client
	for _, c := range clients {
		if err := c.compare(); err != nil {
			return err
		}
		switch {
		case first == nil:
			first = c
		case c.server.Judged || first.server.Judged:
			if what := differ(first.m, c.m); what != "" {
				return errors.Join(first.contradiction(fmt.Errorf("%s and %s differ at rest: %s", first.name, c.name, what)), c.contradiction(errors.New("the other one")))
			}
		}
	}
	return nil
}

// compare asks for everything, and wants nothing new to come of it.
func (c *client) compare() error {
	if err := c.retried(func() *command { return &command{name: "NOOP", text: "NOOP"} }); err != nil {
		return err
	}
	type fact struct {
		flags  []string
		known  bool
		modseq uint64
	}
	before := map[*message]fact{}
	for _, msg := range c.m.msgs {
		before[msg] = fact{msg.flags, msg.known, msg.modseq}
	}
	n := len(c.m.msgs)
	items := "FLAGS"
	if c.m.condstore {
		items = "FLAGS MODSEQ"
	}
	if err := c.retried(func() *command { return c.everything(items) }); err != nil {
		return err
	}
	if !c.server.Judged {
		return nil
	}
	if len(c.m.msgs) != n {
		return c.contradiction(fmt.Errorf("at rest there are %d messages after NOOP, and %d after a FETCH", n, len(c.m.msgs)))
	}
	recent := 0
	for _, msg := range c.m.msgs {
		if msg.recent {
			recent++
		}
		was, ok := before[msg]
		switch {
		case !ok: // the mailbox was selected again
		case was.known && !slices.Equal(was.flags, msg.flags):
			return c.contradiction(fmt.Errorf("at rest the client knows flags %v of UID %d, it has %v", was.flags, msg.uid, msg.flags))
		case c.m.condstore && was.known && was.modseq != 0 && was.modseq != msg.modseq:
			return c.contradiction(fmt.Errorf("at rest the client knows modseq %d of UID %d, it has %d", was.modseq, msg.uid, msg.modseq))
		}
	}
	if c.m.recent >= 0 && !c.m.rev2 && recent != c.m.recent {
		return c.contradiction(fmt.Errorf("at rest %d messages are \\Recent, RECENT is %d", recent, c.m.recent))
	}
	return nil
}

// differ tells in what two models differ, "" = in nothing.
func differ(a, b *model) string {
	if len(a.msgs) != len(b.msgs) {
		return fmt.Sprintf("%d and %d messages", len(a.msgs), len(b.msgs))
	}
	for i, x := range a.msgs {
		y := b.msgs[i]
		switch {
		case x.uid != y.uid:
			return fmt.Sprintf("message %d has UID %d and %d", i+1, x.uid, y.uid)
		case !slices.Equal(x.flags, y.flags):
			return fmt.Sprintf("UID %d has flags %v and %v", x.uid, x.flags, y.flags)
		case a.condstore && b.condstore && x.modseq != y.modseq:
			return fmt.Sprintf("UID %d has modseq %d and %d", x.uid, x.modseq, y.modseq)
		}
	}
	return ""
}

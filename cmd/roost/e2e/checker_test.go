package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/roostmail/roost/cmd/internal/checker"
	"github.com/roostmail/roost/cmd/internal/rig"
)

// checked is a way to disturb the server whose answers are judged.
type checked struct {
	name    string
	extra   string // TOML
	killed  bool   // the storage plugin, every second
	dovecot int    // clients of a Dovecot that has the same mailbox
}

var checkedWays = []checked{
	{name: "alone"},
	{name: "parked", extra: "[hibernation]\nplugin = \"adaptive\"\noptions.warm = \"0s\"\noptions.max_warm = \"0s\"\n"},
	{name: "killed", killed: true},
	{name: "beside Dovecot", dovecot: 3},
}

// TestContradictions lets six connections do anything to one mailbox: no answer contradicts what was said before (package
// checker). make soak does it for longer.
func TestContradictions(t *testing.T) {
	for _, w := range checkedWays {
		t.Run(w.name, func(t *testing.T) {
			for _, seed := range []uint64{1, seed()} {
				w.check(t, seed, 3700*time.Millisecond)
			}
		})
	}
}

// check lets clients work for a time.
func (w *checked) check(t *testing.T, seed uint64, d time.Duration) {
	t.Helper()
	home := mailHome(t)
	var servers []checker.Server
	if w.dovecot > 0 {
		dovecot := startDovecot(t, rig.DovecotOptions{Home: home})
		cmd(t, login(t, dovecot.Addr, storeUser), "SELECT INBOX") // processes that make it at the same time may panic
		servers = append(servers, checker.Server{Name: "d", Addr: dovecot.Addr, Clients: w.dovecot})
		defer quiet(t, dovecot)
	}
	r := startRoost(t, rig.RoostOptions{Home: home, Users: []string{storeUser}, Extra: w.extra})
	servers = append([]checker.Server{{Name: "r", Addr: r.Addr, Clients: 6, Judged: true}}, servers...)
	if w.killed {
		stop := every(t, func() {
			if pid, err := r.PluginPID("storage/mdbox"); err == nil {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		})
		defer func() { t.Logf("killed %d times", stop()) }()
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	cfg := checker.Config{User: storeUser, Servers: servers, Seed: seed, Tolerant: w.killed, ModSeqsGoBack: w.dovecot > 0}
	if name := os.Getenv("ROOST_TRACE"); name != "" { // for who wants to see what went wrong
		f, err := os.Create(name) // each line is one write
		must(t, err)
		defer f.Close()
		cfg.Trace = f
	}
	report, err := checker.Run(ctx, cfg)
	if err != nil {
		var c *checker.Contradiction
		if errors.As(err, &c) {
			err = c
		}
		t.Fatalf("seed %d: %v", seed, err)
	}
	t.Logf("seed %d: %v, compared %d times, %d connections lost", seed, fmt.Sprint(report.Commands), report.Rests, report.Lost)
}

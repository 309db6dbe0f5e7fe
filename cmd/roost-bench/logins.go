package main

import (
	"errors"
	"fmt"

	"github.com/roostmail/roost/cmd/internal/herd"
	"github.com/roostmail/roost/cmd/internal/rig"
)

// loginClients is how many sessions log in at once.
const loginClients = 16

// logins logs in and out again, in turn on roost and, if there is to be a Dovecot, on one with reused processes and one as it comes.
func (run *idleRun) logins() (err error) {
	_, roost, stop, err := run.startRoost()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	servers := []target{roost}
	if run.f.dovecot > 0 {
		for _, s := range []setup{{reused: true}, {}} {
			_, d, stop, err := run.startDovecot(s)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, stop()) }()
			servers = append(servers, d)
		}
	}
	all := make([]rounds, len(servers))
	for i, s := range servers {
		all[i] = rounds{timing: timing{Server: s.name, TLS: "none", What: "connect, LOGIN, LOGOUT", How: fmt.Sprintf("%d clients", loginClients)}}
	}
	for round := range run.f.rounds {
		progress("logins, round %d of %d", round+1, run.f.rounds)
		for k := range servers {
			i := (k + round) % len(servers)
			s := servers[i]
			// Users of one uid, who take turns: processes that Dovecot reuses cannot change theirs.
			group := perUID * (i % max(run.store.users/perUID, 1))
			o := herd.Options{Addr: s.addr, TLSAddr: s.tlsAddr, Users: userNames, First: group, N: min(perUID, run.store.users-group), Clients: loginClients}
			cpu := rig.CPUSeconds(s.pid)
			in, err := run.fleet.Logins(o, run.f.loginRate)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			all[i].add(in.Latencies, in.Took, rig.CPUSeconds(s.pid)-cpu)
		}
	}
	for i := range all {
		run.report.Timings = append(run.report.Timings, all[i].result())
	}
	return nil
}

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/cmd/internal/herd"
)

// herdCommand is a client process of idle.
func herdCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "herd",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(*cobra.Command, []string) error { return herd.Serve(os.Stdin, os.Stdout) },
	}
}

// runHold opens sessions and checks them whenever a line comes from standard input.
func runHold(f idleFlags) (err error) {
	run, end, err := startIdle(f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	server := target{addr: f.addr, tlsAddr: f.tlsAddr}
	if f.addr == "" {
		var stop func() error
		if _, server, stop, err = run.startRoost(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
		fmt.Printf("roost: pid %d, IMAP %s, with TLS %s\n", server.pid, server.addr, server.tlsAddr)
	}
	o := run.options(server, f.tls[0])
	if f.addr != "" {
		o.Users = f.names
	}
	opened, err := run.fleet.Open(o)
	if err != nil {
		return err
	}
	fmt.Printf("%d sessions are open, TLS %s, opened in %v. A line checks them, end of input closes them.\n", opened.Sessions, o.TLS, opened.Took.Round(time.Millisecond))
	lost := 0
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		c, err := run.fleet.Check()
		if err != nil {
			return err
		}
		fmt.Printf("%d alive, %d lost, checked in %v; %d bytes received, %d sent in all\n", c.Alive, c.Lost, c.Took.Round(time.Millisecond), c.In, c.Out)
		if c.Lost > 0 {
			fmt.Printf("lost by state: %v; one of them: %s\n", c.LostIn, c.Error)
		}
		lost = c.Lost
	}
	if lost > 0 {
		return fmt.Errorf("%d sessions are lost", lost)
	}
	return nil
}

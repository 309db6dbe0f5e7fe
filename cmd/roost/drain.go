package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/core/keeper"
	"github.com/roostmail/roost/core/server"
)

func drainCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "drain --config FILE",
		Short: "end a running server politely, and show how far it is",
		Long: `End the server that runs with FILE, as SIGTERM does: no connection is accepted any more, commands
that run are finished, and all other sessions get BYE. Clients come again, and find the next server.
The command shows how many sessions are left, and returns when there are none, or when
[limits] drain_timeout is over and the rest is ended without a farewell: then the exit code is 2.

To replace the program and keep the sessions, use "roost reload --binary".

The command asks at the socket [keeper] control, as the user that the server runs as, or root.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			left := -1
			err := askCore(file, keeper.Request{Op: keeper.OpDrain}, func(r server.ControlReply) error {
				if r.Draining == nil || *r.Draining == left {
					return nil
				}
				left = *r.Draining
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%d sessions left\n", left)
				return err
			})
			if err == nil && left > 0 {
				err = &exitCode{code: 2, err: fmt.Errorf("%d sessions were left after [limits] drain_timeout", left)}
			}
			return err
		},
	}
	configFlag(c, &file)
	return c
}

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/core/config"
	"github.com/roostmail/roost/core/keeper"
)

func reloadCommand() *cobra.Command {
	var file string
	var binary bool
	c := &cobra.Command{
		Use:   "reload [--binary] --config FILE",
		Short: "reload a running server's configuration or program",
		Long: `Reload the server that runs with FILE.

Without --binary it is told to read FILE again, as by SIGHUP: certificate and log level.

With --binary the program is started anew, from the file that the server was
started from, and takes all sessions over: clients notice nothing but a pause. If the new
one does not come up, the server goes on as before, and the command says why.
Commands that run are waited for, at most [keeper] handover_timeout. Sessions that can not be
moved get BYE, and are counted.

The command asks at the socket [keeper] control, as the user that the server runs as, or root.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(file, bundle.Catalog())
			if err != nil {
				return err
			}
			if !binary {
				_, err := keeper.Ask(c.Keeper.Control, keeper.OpReload)
				return err
			}
			a, err := keeper.Ask(c.Keeper.Control, keeper.OpBinary)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d sessions go on, %d ended, %.2f s\n", a.Sessions, a.Lost, a.Took)
			return err
		},
	}
	configFlag(c, &file)
	c.Flags().BoolVar(&binary, "binary", false, "start the program anew")
	return c
}

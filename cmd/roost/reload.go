package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/core/config"
	"github.com/roostmail/roost/core/keeper"
	"github.com/roostmail/roost/core/server"
)

func reloadCommand() *cobra.Command {
	var file string
	var binary bool
	c := &cobra.Command{
		Use:   "reload [--binary] --config FILE",
		Short: "reload a running server's configuration or program",
		Long: `Reload the server that runs with FILE.

Without --binary it reads FILE again, as by SIGHUP: certificate and log level. What it refuses,
such as a certificate without its key, the command says, and the server goes on as before. Keys
that have changed beside these are shown, with what takes them over.

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
				return reloadConfig(cmd.OutOrStdout(), c.Keeper.Control)
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

// reloadConfig has the server at a control socket read its configuration again, and tells what came of it.
func reloadConfig(out io.Writer, control string) error {
	answered := false
	err := keeper.Follow(control, keeper.Request{Op: keeper.OpReload}, func(line []byte) error {
		var reply server.ControlReply
		if err := json.Unmarshal(line, &reply); err != nil {
			return fmt.Errorf("the server's answer: %w", err)
		}
		answered = true
		if reply.Error != "" {
			return errors.New(reply.Error)
		}
		left := reply.Left
		if left == nil {
			return nil
		}
		for _, x := range []struct {
			keys []string
			by   string
		}{{left.Restart, "roost reload --binary, or a restart"}, {left.Plugin, "roost plugin reload"}} {
			if len(x.keys) == 0 {
				continue
			}
			if _, err := fmt.Fprintf(out, "changed, but only taken over by %s: %s\n", x.by, strings.Join(x.keys, ", ")); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && !answered {
		err = errors.New("the server has not answered: it ends, or was reloaded")
	}
	return err
}

package main

import (
	"fmt"
	"log/slog"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/plugins/sdk"
)

func pluginCommand() *cobra.Command {
	c := group("plugin", "list, describe, test and make plugins, watch and replace those of a running server, or run a bundled one",
		pluginListCommand(), pluginInfoCommand(), pluginCheckCommand(), pluginTestCommand(), pluginHashCommand(), pluginNewCommand(),
		pluginReloadCommand(), pluginDisableCommand(), pluginEnableCommand(), pluginLogsCommand())
	c.Use = "plugin KIND/NAME"
	c.Long = `List and describe the plugins that are part of this binary.

With KIND/NAME the process is that plugin. Core starts bundled plugins so. By hand,
or from a supervisor, it needs --standalone and --address: it serves there until it is
interrupted, and a server uses it whose plugin has that address (see [plugins.NAME]).`
	// sdk.Serve reads these two itself, as it does in the programs of others.
	c.Flags().Bool("standalone", false, "serve without a server that has started it")
	c.Flags().String("address", "", "where: `unix:///PATH`")
	c.Args = cobra.MaximumNArgs(1)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		log := sdk.NewLogger()
		p, err := bundled(args[0], log)
		if err != nil {
			return err
		}
		sdk.Serve(p)
		return nil
	}
	return c
}

// bundled makes the plugin KIND/NAME.
func bundled(name string, log *slog.Logger) (backend.Plugin, error) {
	kind, rest, _ := strings.Cut(name, "/")
	p := bundle.New(backend.Kind(kind), rest, log)
	if p == nil {
		return nil, fmt.Errorf("there is no bundled plugin %q; see: roost plugin list", name)
	}
	return p, nil
}

func pluginListCommand() *cobra.Command {
	var file string
	var asJSON bool
	c := &cobra.Command{
		Use:   "list [--config FILE [--json]]",
		Short: "list the bundled plugins, or those of a running server",
		Long: `List the bundled plugins.

With --config, list instead the plugins of the server that runs with FILE, and what they do:

  STATE      running, restarting (commands wait for it), failed (it rests after too many failures,
             commands are refused), disabled; draining: the process that was replaced
  UP         how long its process has been there
  RESTARTS   processes that took the place of dead ones
  CALLS      since the start of the server; IN FLIGHT are those of this moment
  MEMORY     resident memory of its process
  CPU        time that its process has used

and below, how many calls have failed, by kind, and why the process ended last, if it did. Asks as "roost sessions" does.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file != "" {
				return listLive(cmd.OutOrStdout(), file, asJSON)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			for _, i := range bundle.Catalog() {
				fmt.Fprintf(w, "%s/%s\t%s\t%s\n", i.Kind, i.Name, i.Version, i.Description)
			}
			return w.Flush()
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration `FILE` of a running server")
	c.Flags().BoolVar(&asJSON, "json", false, "write an object of JSON for each plugin of the server")
	return c
}

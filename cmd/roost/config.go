package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/core/config"
	"github.com/roostmail/roost/core/server"
)

func configCommand() *cobra.Command {
	return group("config", "check or show a configuration", configCheckCommand(), configShowCommand())
}

func configCheckCommand() *cobra.Command {
	var file string
	var plugins bool
	c := &cobra.Command{
		Use:   "check [--plugins] --config FILE",
		Short: "check a configuration",
		Long: `Check FILE without opening anything else: no certificate, no socket, no plugin.

Every mistake is reported with file and line, an unknown key also with the
nearest known one. The exit code is 0, or 1 if there is any.

With --plugins each plugin that FILE uses is then started as the server would, with its user, limits and
sandbox, configured, and ended: what it refuses is reported, and the options of external plugins, of which
nothing is known otherwise, are checked. A server that runs notices nothing. A plugin with an
address is asked for its options, and not configured, since it may be serving.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(file, bundle.Catalog())
			if err != nil {
				return err
			}
			if plugins {
				log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
				if err := server.CheckPlugins(cmd.Context(), server.Options{Config: c, Bundle: bundle, Log: log}); err != nil {
					return err
				}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", file)
			return err
		},
	}
	configFlag(c, &file)
	c.Flags().BoolVar(&plugins, "plugins", false, "start the plugins, and report what they refuse")
	return c
}

func configShowCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "show --config FILE",
		Short: "show a configuration with all defaults",
		Long:  "Show the effective configuration as TOML: every key with its value or default, secrets masked.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(file, bundle.Catalog())
			if err != nil {
				return err
			}
			return c.Show(cmd.OutOrStdout())
		},
	}
	configFlag(c, &file)
	return c
}

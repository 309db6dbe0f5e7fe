package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/core/config"
)

func configCommand() *cobra.Command {
	return group("config", "check or show a configuration", configCheckCommand(), configShowCommand())
}

func configCheckCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "check --config FILE",
		Short: "check a configuration",
		Long: `Check FILE without opening anything else: no certificate, no socket, no plugin.

Every mistake is reported with file and line, an unknown key also with the
nearest known one. The exit code is 0, or 1 if there is any.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := config.Load(file, bundle.Catalog()); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", file)
			return err
		},
	}
	configFlag(c, &file)
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

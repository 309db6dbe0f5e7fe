package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/config"
	"github.com/roostmail/roost/core/server"
	"github.com/roostmail/roost/plugins/sdk/plugintest"
)

func pluginCheckCommand() *cobra.Command {
	var (
		p    plugintest.Program
		r    plugintest.Runner
		kind string
	)
	c := &cobra.Command{
		Use:   "check [flags] PLUGIN [-- ARGUMENT...]",
		Short: "start a plugin and say what roost would refuse",
		Long: `Start PLUGIN, without configuring it, and hold what it says of itself against
what roost expects: handshake, protocol version, kind, services, capabilities and
options. What is wrong is said with what to do about it; the exit code is then 1.

` + pluginTarget,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if p.Command, err = program(args); err != nil {
				return err
			}
			p.Kind = backend.Kind(kind)
			r.Out = cmd.OutOrStdout()
			ok, err := r.Run(cmd.Context(), p.Check)
			if err == nil && !ok {
				err = &exitCode{code: 1}
			}
			return err
		},
	}
	c.Flags().StringVar(&kind, "kind", "", "the `KIND` that the plugin must be of")
	c.Flags().BoolVar(&r.JSON, "json", false, "print a JSON object for each check")
	return c
}

func pluginHashCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "hash FILE",
		Short: "print the line that pins a program",
		Long: `Print the line for [plugins.NAME] that pins FILE: roost then starts it only as long
as its content is the same.

A file that roost would refuse to start with that line is refused: it must be a
regular file, belong to root or to the user of roost, and be writable by its owner only.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			digest, err := server.Digest(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "sha256 = %q\n", digest)
			return err
		},
	}
}

func pluginInfoCommand() *cobra.Command {
	var (
		file   string
		asJSON bool
	)
	c := &cobra.Command{
		Use:   "info [--config FILE] PLUGIN [-- ARGUMENT...]",
		Short: "describe a plugin and its options",
		Long: `Start PLUGIN, without configuring it, and print what it says of itself.

` + pluginTarget + `
With --config it is the NAME of a [plugins.NAME] of that file; one with an address is asked there.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			info, err := describe(cmd, file, args)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(infoJSON(info))
			}
			return printInfo(cmd.OutOrStdout(), info)
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration `FILE`")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// describe returns what a plugin says of itself. One that is bundled is not started.
func describe(cmd *cobra.Command, file string, args []string) (info backend.Info, err error) {
	var p plugintest.Program
	if file != "" {
		c, err := config.Load(file, bundle.Catalog())
		if err != nil {
			return info, err
		}
		external, ok := c.External(args[0])
		if !ok {
			return info, fmt.Errorf("%s has no [plugins.%s] with a command or an address", file, args[0])
		}
		if external.Address != "" {
			return plugintest.DescribeAt(cmd.Context(), external.Address, external.User)
		}
		p.Command = external.Command
	} else {
		if b, err := bundled(args[0], slog.New(slog.DiscardHandler)); err == nil {
			return b.Info(), nil
		}
		if p.Command, err = program(args); err != nil {
			return info, err
		}
	}
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	if info, err = p.Describe(cmd.Context(), log); err != nil {
		return info, fmt.Errorf("%w\nroost plugin check %s says more", err, strings.Join(p.Command, " "))
	}
	return info.Without(backend.CapLanes).Without(backend.CapLaneMemory), nil
}

func printInfo(out io.Writer, i backend.Info) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "%s/%s %s: %s\n", i.Kind, i.Name, i.Version, i.Description)
	fmt.Fprintf(w, "capabilities: %s\n\n", strings.Join(i.Capabilities, ", "))
	fmt.Fprintln(w, "option\ttype\tdefault\t")
	for _, o := range i.Options {
		def := o.Default
		if o.Required {
			def = "required"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", o.Name, o.Type, def, o.Help)
	}
	return w.Flush()
}

// infoJSON is what "plugin info --json" prints.
func infoJSON(i backend.Info) any {
	type option struct {
		Name     string             `json:"name"`
		Type     backend.OptionType `json:"type"`
		Required bool               `json:"required,omitempty"`
		Default  string             `json:"default,omitempty"`
		Help     string             `json:"help"`
		Secret   bool               `json:"secret,omitempty"`
	}
	options := make([]option, len(i.Options))
	for k, o := range i.Options {
		options[k] = option{o.Name, o.Type, o.Required, o.Default, o.Help, o.Secret}
	}
	return struct {
		Kind         backend.Kind `json:"kind"`
		Name         string       `json:"name"`
		Version      string       `json:"version"`
		Description  string       `json:"description"`
		Capabilities []string     `json:"capabilities"`
		Options      []option     `json:"options"`
	}{i.Kind, i.Name, i.Version, i.Description, i.Capabilities, options}
}

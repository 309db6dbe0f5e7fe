// Command roost is an IMAP server for existing Dovecot mailstores.
//
// The command holds flags, wiring and signals; what it does is in core/server. It is also the
// one place that knows both core and the bundled plugins.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/spf13/cobra"
)

// version is set by the build: -ldflags "-X main.version=...".
var version = "0.1.0-dev"

func main() {
	runtime.MemProfileRate = 0 // nothing shows the profile, and it keeps memory for each place that has ever allocated
	err := rootCommand().ExecuteContext(context.Background())
	if err == nil {
		return
	}
	code := 1
	if e := (*exitCode)(nil); errors.As(err, &e) {
		code = e.code
	}
	if err.Error() != "" {
		fmt.Fprintf(os.Stderr, "roost: %v\n", err)
	}
	os.Exit(code)
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "roost",
		Short: "IMAP server for existing Dovecot mailstores",
		Long: `roost is an IMAP server for existing Dovecot mailstores.

It reads the mdbox stores that Dovecot writes, beside a running Dovecot or alone.
Storage and authentication are plugins, each in a process of its own.`,
		Example: `  roost dev                           serve a sample store, with hints what to try
  roost serve --config roost.toml     serve your own`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.AddCommand(devCommand(), serveCommand(), coreCommand(), reloadCommand(), drainCommand(), sessionsCommand(), topCommand(), authCommand(), configCommand(), pluginCommand(), mailCommand(), versionCommand())
	plainUsage(root)
	return root
}

// plainUsage keeps cobra from adding "[flags]" to usage lines that name their flags, and adds the usage line to errors about the number of arguments.
func plainUsage(c *cobra.Command) {
	c.DisableFlagsInUseLine = true
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return fmt.Errorf("%w; usage: %s", err, cmd.UseLine())
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		plainUsage(sub)
	}
}

// group is a command that only has subcommands: without one it shows them, and a wrong one is an error.
func group(use, short string, subcommands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(subcommands...)
	return c
}

// Command roost-bench measures roost beside a private Dovecot, and the cost of sleeping sessions.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/core/slack"
)

func main() {
	root := &cobra.Command{
		Use:           "roost-bench",
		Short:         "measure roost, alone and beside a private Dovecot",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	if err := slack.OfMonitor(); err != nil { // the client is not to take the servers' time
		fmt.Fprintln(os.Stderr, "roost-bench: slower than need be:", err)
	}
	root.AddCommand(opsCommand(), fairCommand(), idleCommand(), herdCommand(), simulateCommand())
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "roost-bench:", err)
		os.Exit(1)
	}
}

// Command roost-bench measures roost beside a private Dovecot, and the cost of sleeping sessions.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	root := &cobra.Command{
		Use:           "roost-bench",
		Short:         "measure roost, alone and beside a private Dovecot",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(opsCommand(), fairCommand(), idleCommand(), herdCommand(), simulateCommand())
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "roost-bench:", err)
		os.Exit(1)
	}
}

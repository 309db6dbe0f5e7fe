// Command roost is an IMAP server for existing Dovecot mailstores.
//
// The command holds flags, wiring and signals; what it does is in core/server.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// version is set by the build (go build -ldflags "-X main.version=...").
var version = "0.1.0-dev"

func main() {
	root := &cobra.Command{
		Use:           "roost",
		Short:         "IMAP server for existing Dovecot mailstores",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(versionCommand())
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "roost:", err)
		os.Exit(1)
	}
}

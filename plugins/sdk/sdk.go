// Package sdk is all that the author of a roost plugin imports, beside
// core/backend with the interfaces to implement.
//
// A whole plugin:
//
//	package main
//
//	import "github.com/roostmail/roost/plugins/sdk"
//
//	func main() { sdk.Serve(&myAuth{}) }
//
// The kind of the plugin is that of its Info; *myAuth must implement the
// interface of that kind (backend.Auth, backend.Storage, backend.Hibernation, backend.Notify, backend.State). Optional interfaces
// beside it count only if Info announces their capability.
//
// Around the implementation, the SDK takes care of the handshake, of gRPC, of
// the end of the process when roost ends (however it ends), and of panics: one in a
// call becomes an internal error of that call and a log record; the process lives on.
//
// Log with log/slog: the default logger sends records to roost, which writes
// them to its own log under the plugin's name. Standard output and standard error may be
// written to as well; each line becomes a record.
//
// For a debugger, start the program by hand:
//
//	dlv exec ./my-auth -- --standalone --address unix:///tmp/my-auth.sock
//
// It serves there until it is interrupted; with address = "unix:///tmp/my-auth.sock" in the place of command, roost uses it.
//
// plugins/sdk/plugintest tests an implementation over a real connection.
package sdk

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc/child"
)

// Serve serves p until roost asks it to end, and then returns. A process that
// can not be a plugin exits with status 1 and a line on standard error that says why.
//
// With the argument --standalone, the process was started by hand: it serves at --address until it is interrupted. Every other argument is the
// plugin's own.
func Serve(p backend.Plugin) {
	if err := serve(p, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(p backend.Plugin, args []string) error {
	if child.Started() || !slices.Contains(args, "--standalone") {
		return child.Serve(p)
	}
	var address string
	for i, arg := range args {
		if v, ok := strings.CutPrefix(arg, "--address="); ok {
			address = v
		} else if arg == "--address" && i+1 < len(args) {
			address = args[i+1]
		}
	}
	if address == "" {
		return errors.New("--standalone needs --address unix:///PATH")
	}
	return child.Standalone(p, address, os.Stderr)
}

// NewLogger returns the logger that Serve makes the default one, for plugins that need it before.
func NewLogger() *slog.Logger { return child.NewLogger() }

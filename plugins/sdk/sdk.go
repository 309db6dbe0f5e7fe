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
// interface of that kind (backend.Auth, backend.Storage, backend.Hibernation, backend.Notify). Optional interfaces
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
// plugins/sdk/plugintest tests an implementation over a real connection.
package sdk

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/pluginrpc/child"
)

// Serve serves p until roost asks it to end, and then returns. A process that
// can not be a plugin exits with status 1 and a line on standard error that says why.
func Serve(p backend.Plugin) {
	if err := child.Serve(p); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// NewLogger returns the logger that Serve makes the default one, for plugins that need it before.
func NewLogger() *slog.Logger { return child.NewLogger() }

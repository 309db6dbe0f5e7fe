// Protobreak says what the present .proto files would break for plugins of released versions, and fails if there is anything.
// It is run by "make lint", at the root of the repository.
package main

import (
	"fmt"
	"os"

	"github.com/roostmail/roost/proto/compat"
)

func main() {
	breaks, err := compat.CheckReleased(".")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, b := range breaks {
		fmt.Println(b)
	}
	if len(breaks) > 0 {
		fmt.Println("plugins that exist already would break: see docs/VERSIONING.md")
		os.Exit(1)
	}
}

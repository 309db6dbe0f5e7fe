package stories

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// root is the directory of the module.
const root = "../../.."

// roostBinary is the binary under test, built once from this tree.
var roostBinary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, remove, err := rig.Dir("roost-stories-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer remove()
	roostBinary = filepath.Join(dir, "roost")
	build := exec.Command("go", "build", "-o", roostBinary, "github.com/roostmail/roost/cmd/roost")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building roost:", err)
		return 1
	}
	// Both servers give INTERNALDATE in their own zone.
	if err := os.Setenv("TZ", "UTC"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// Stories wait for servers and for the disk rather than compute.
	if f := flag.Lookup("test.parallel"); f != nil {
		if err := f.Value.Set("16"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

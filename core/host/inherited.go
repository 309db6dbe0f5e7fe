package host

import (
	"fmt"
	"math"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// firstInherited is the number of the first descriptor that is none of standard input, output and error.
const firstInherited = 3

// keepInherited keeps from plugins, and from all that is executed, the descriptors that whoever started this process left open in it. All that are opened here
// have close-on-exec anyway, and a child gets what it is to have by exec.Cmd.
func keepInherited() error {
	if unix.CloseRange(firstInherited, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return nil
	}
	entries, err := os.ReadDir("/proc/self/fd") // before Linux 5.11
	if err != nil {
		return fmt.Errorf("host: inherited descriptors: %w", err)
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= firstInherited {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

package quiet

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// dropProgram has the system take the read-only data of the program's file out of this process: mostly what a collection reads to
// find its way in stacks. A burst of work has read much of it. Its pages stay in the system's cache of files as long as there is room, so one that
// is used again costs a fault without reading the file. The code stays where it is: waking needs it.
//
// Without /proc nothing happens.
func dropProgram() {
	name, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()
	for _, m := range readOnly(f, name) {
		// An error means that the pages stay: they are locked, for example.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED)
	}
}

// mapping is a range of addresses.
type mapping struct{ start, end uintptr }

// readOnly returns the read-only mappings of a file that have only what is in the file, out of smaps (proc_pid_smaps(5)). Those with pages of their own
// are left out: of data that was changed before it was made read-only, the file has no copy.
func readOnly(smaps io.Reader, file string) (list []mapping) {
	var m mapping
	wanted := false
	for lines := bufio.NewScanner(smaps); lines.Scan(); {
		line := lines.Bytes()
		var start, end uintptr
		var rights, path string
		var offset, device, inode string
		if n, _ := fmt.Sscanf(string(line), "%x-%x %s %s %s %s", &start, &end, &rights, &offset, &device, &inode); n == 6 {
			if _, rest, ok := bytes.Cut(line, []byte(" "+inode+" ")); ok {
				path = string(bytes.TrimLeft(rest, " "))
			}
			m, wanted = mapping{start, end}, rights == "r--p" && path == file
			continue
		}
		if own, ok := bytes.CutPrefix(line, []byte("Anonymous:")); ok && wanted && string(bytes.TrimSpace(own)) == "0 kB" {
			list = append(list, m)
		}
	}
	return list
}

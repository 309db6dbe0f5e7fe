package host

import (
	"bytes"
	"os"
	"strconv"
	"time"
)

// usage returns the resident memory in bytes and the CPU time of a process, zeros if there is none.
func usage(pid int) (memory int64, cpu time.Duration) {
	if pid == 0 {
		return 0, 0
	}
	dir := "/proc/" + strconv.Itoa(pid)
	if b, err := os.ReadFile(dir + "/statm"); err == nil {
		memory = number(b, 1) * int64(os.Getpagesize())
	}
	if b, err := os.ReadFile(dir + "/stat"); err == nil {
		// The name, the second field, may have blanks; utime and stime are the 14th and 15th (proc_pid_stat(5)).
		rest := b[bytes.LastIndexByte(b, ')')+1:]
		cpu = time.Duration(number(rest, 11)+number(rest, 12)) * (time.Second / clockTicks)
	}
	return memory, cpu
}

// clockTicks is USER_HZ, which Linux has fixed at 100 for all architectures that Go has.
const clockTicks = 100

// number returns a field of a line, 0 if it is not there.
func number(line []byte, field int) int64 {
	f := bytes.Fields(line)
	if field >= len(f) {
		return 0
	}
	n, _ := strconv.ParseInt(string(f[field]), 10, 64)
	return n
}

package heap

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

var sink []byte

// What is allocated within the reserve is not collected, and the reserve itself takes no memory.
func TestReserve(t *testing.T) {
	if !inChild(t) {
		return
	}
	resident := residentBytes(t)
	Reserve(256 << 20)
	if grown := residentBytes(t) - resident; grown > 1<<20 {
		t.Errorf("the reserve of 256 MB takes %d bytes", grown)
	}
	if n := collections(); n != 0 {
		t.Errorf("%d collections within the reserve", n)
	}
	Release()
	if n := collections(); n == 0 {
		t.Error("nothing is collected without a reserve: the test tests nothing")
	}
}

// collections returns how many there are while 100 MB become garbage.
func collections() uint32 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 1600 {
		sink = make([]byte, 64<<10)
	}
	runtime.ReadMemStats(&after)
	return after.NumGC - before.NumGC
}

func residentBytes(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// inChild reports whether this is the process of the test alone, whose heap and runtime are those of a process that has just begun. If not, it runs the
// test in one.
func inChild(t *testing.T) bool {
	t.Helper()
	if os.Getenv("HEAP_CHILD") != "" {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "HEAP_CHILD=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

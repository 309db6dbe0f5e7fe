package heap

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
)

// TestPrime: what the collector takes for lists of spans it has taken before there is work.
func TestPrime(t *testing.T) {
	if os.Getenv("HEAP_CHILD") == "" { // in a process of its own, which has just begun
		cmd := exec.Command(os.Args[0], "-test.run=^TestPrime$", "-test.v")
		cmd.Env = append(os.Environ(), "HEAP_CHILD=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	Prime()
	before := collector()
	bytes, pointers := everySize()
	runtime.GC()
	runtime.GC()
	after := collector()
	runtime.KeepAlive(bytes)
	runtime.KeepAlive(pointers)
	t.Logf("the collector has %d bytes, %d before the work", after, before)
	if after > before && after-before > 256<<10 {
		t.Errorf("work makes the collector take %d bytes", after-before)
	}
}

// collector returns the bytes that the collector has for itself.
func collector() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.GCSys
}

package heap

import (
	"runtime"
	"testing"
)

// TestPrime: what the collector takes for lists of spans it has taken before there is work.
func TestPrime(t *testing.T) {
	if !inChild(t) {
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

//go:build race

package session

// mapChunk takes the chunk from Go's heap: the race detector follows neither memory accesses nor the
// synchronization by a record's word outside of it.
func mapChunk() (*chunk, error) { return new(chunk), nil }

// unmapChunk leaves the chunk to the garbage collector.
func unmapChunk(*chunk) {}

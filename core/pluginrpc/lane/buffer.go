package lane

import "sync"

const (
	// smallBuffer is what a lane keeps between two calls, in bytes.
	smallBuffer = 8 << 10
	// largeBuffer holds a message of usual size (256 KiB of mail, and its columns), and is kept for the next one by a pool. Others are garbage.
	largeBuffer = 320 << 10
)

var large = sync.Pool{New: func() any { b := make([]byte, largeBuffer); return &b }}

// getBuffer returns n bytes or more.
func getBuffer(n int) []byte {
	switch {
	case n <= smallBuffer:
		return make([]byte, smallBuffer)
	case n <= largeBuffer:
		return *large.Get().(*[]byte)
	}
	return make([]byte, n)
}

// putBuffer takes back what getBuffer has returned.
func putBuffer(b []byte) {
	if len(b) == largeBuffer {
		large.Put(&b)
	}
}

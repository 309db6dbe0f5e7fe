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

// extend returns b with room for n bytes more. What it does not return is in the pool.
func extend(b []byte, n int) []byte {
	if n <= cap(b)-len(b) {
		return b
	}
	bigger := getBuffer(len(b) + n)
	n = copy(bigger, b)
	putBuffer(b[:cap(b)])
	return bigger[:n]
}

// shrink is extend's inverse, for a buffer with nothing in it: it returns one that a lane may keep.
func shrink(b []byte) []byte {
	if cap(b) <= smallBuffer {
		return b[:0]
	}
	putBuffer(b[:cap(b)])
	return nil
}

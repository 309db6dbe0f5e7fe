package tls13

import (
	"testing"
	"unsafe"
)

// TestCheckFindsEveryChangedByte flips each byte of what Check can know: the secrets as far as they are used, keys, IVs and suites.
func TestCheckFindsEveryChangedByte(t *testing.T) {
	for number, size := range map[uint16]int{0x1301: 32, 0x1302: 48, 0x1303: 32} {
		var s State
		if err := s.Start(number, make([]byte, size), make([]byte, size), 0); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(); err != nil {
			t.Fatalf("%#x: %v", number, err)
		}
		for _, h := range []*half{&s.in, &s.out} {
			for _, part := range [][]byte{h.secret[:size], h.key[:], h.iv[:], unsafe.Slice(&h.suite, 1)} {
				for i := range part {
					part[i] ^= 1
					if s.Check() == nil {
						t.Errorf("%#x: a changed byte is not found", number)
					}
					part[i] ^= 1
				}
			}
		}
	}
	if new(State).Check() == nil {
		t.Error("an empty state passes")
	}
}

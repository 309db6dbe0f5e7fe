package tls13

import (
	"crypto/tls"
	"testing"
)

// forEachSuiteB runs a benchmark with one record of 30 bytes for the server, and both its ends asleep before it.
func forEachSuiteB(b *testing.B, run func(b *testing.B, asleep *State, wire []byte)) {
	for _, number := range allSuites {
		b.Run(tls.CipherSuiteName(number), func(b *testing.B) {
			server, _, secret := pair(b, number)
			wire := (&reference{number: number, secret: secret}).seal(nil, typeApplicationData, make([]byte, 30), 0)
			b.ReportAllocs()
			run(b, server, wire)
		})
	}
}

// wakeOnce opens the record and seals one of 30 bytes.
func wakeOnce(b *testing.B, l *Layer, wire, buf, dst, answer []byte) {
	copy(buf, wire)
	if _, n, err := l.Open(buf[:len(wire)]); n == 0 || err != nil {
		b.Fatal(n, err)
	}
	if _, err := l.Seal(dst[:0], answer); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkWake is a session that wakes, opens a record of 30 bytes, seals one, and sleeps again: with the keys that a State
// has, with keys derived again from its secrets, and with ciphers that were kept.
func BenchmarkWake(b *testing.B) {
	buf, dst, answer := make([]byte, 100), make([]byte, 0, 100), make([]byte, 30)
	b.Run("stored", func(b *testing.B) {
		forEachSuiteB(b, func(b *testing.B, asleep *State, wire []byte) {
			var l Layer
			for b.Loop() {
				asleep.in.seq = 0
				l.Attach(asleep)
				wakeOnce(b, &l, wire, buf, dst, answer)
			}
		})
	})
	b.Run("derived", func(b *testing.B) {
		forEachSuiteB(b, func(b *testing.B, asleep *State, wire []byte) {
			var l Layer
			c := asleep.in.parts()
			for b.Loop() {
				asleep.in.seq = 0
				l.Attach(asleep)
				if asleep.in.derive(c) != nil || asleep.out.derive(c) != nil {
					b.Fatal("no keys")
				}
				wakeOnce(b, &l, wire, buf, dst, answer)
			}
		})
	})
	b.Run("awake", func(b *testing.B) {
		forEachSuiteB(b, func(b *testing.B, asleep *State, wire []byte) {
			l := Layer{State: asleep}
			for b.Loop() {
				asleep.in.seq = 0
				wakeOnce(b, &l, wire, buf, dst, answer)
			}
		})
	})
}

// BenchmarkPush is a session that only sends a line of 30 bytes.
func BenchmarkPush(b *testing.B) {
	dst, line := make([]byte, 0, 100), make([]byte, 30)
	forEachSuiteB(b, func(b *testing.B, asleep *State, _ []byte) {
		var l Layer
		for b.Loop() {
			l.Attach(asleep)
			if _, err := l.Seal(dst[:0], line); err != nil {
				b.Fatal(err)
			}
		}
	})
}

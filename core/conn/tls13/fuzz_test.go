package tls13

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

// script makes a wire of a fuzzer's bytes: what a client might send, sealed correctly. It returns the data in it.
func script(r *reference, ops []byte) (wire, sent []byte) {
	for len(ops) > 0 && len(wire) < 1<<17 {
		op, n := ops[0]%8, 0
		if len(ops) > 1 {
			n = int(ops[1])
		}
		ops = ops[min(2, len(ops)):]
		data := bytes.Repeat([]byte{byte(n)}, n*n/4)
		switch op {
		case 0, 1:
			wire = r.seal(wire, typeApplicationData, data, n%3*100)
			sent = append(sent, data...)
		case 2:
			wire = r.update(wire, byte(n%2))
		case 3:
			wire = r.update(wire, byte(n%2), 1+n%3, 1)
		case 4:
			kind := contentType(20 + n%5)
			wire = r.seal(wire, kind, []byte{2, byte(n)}, 0)
			if kind == typeApplicationData {
				sent = append(sent, 2, byte(n))
			}
		case 5:
			wire = r.seal(wire, typeHandshake, []byte{24, 0, 0, 1, byte(n % 3)}[:n%6], 0)
		case 6:
			// Without the 0, crypto/tls would take an empty TLSInnerPlaintext for empty data.
			wire = r.record(wire, append(data, 0), contentType(23-n%2*n%20), 0x0303)
			if n == int(typeApplicationData) {
				sent = append(sent, data[1:]...)
			}
		case 7:
			wire = r.seal(wire, typeAlert, []byte{byte(n), 0}, 0)
		}
	}
	return wire, sent
}

var seeds = [][]byte{{0, 10}, {0, 255, 1, 3, 2, 1, 0, 9, 7, 1}, {3, 1, 0, 1}, {4, 0}, {5, 3, 0, 1}, {6, 9}, {2, 1, 2, 1, 2, 0, 1, 8}, {5, 5, 5, 5}, {0, 0, 0, 0, 0, 1}}

// FuzzOpen: whatever happens to the wire, Open does not panic and returns nothing but a beginning of what was sealed.
func FuzzOpen(f *testing.F) {
	for i, ops := range seeds {
		f.Add(uint8(i), ops, uint32(7*i), byte(i), uint16(i), []byte(nil))
	}
	f.Add(uint8(0), []byte(nil), uint32(0), byte(0), uint16(0), []byte{23, 3, 3, 0, 20})
	f.Fuzz(func(t *testing.T, suite uint8, ops []byte, at uint32, xor byte, cut uint16, tail []byte) {
		number := allSuites[int(suite)%len(allSuites)]
		server, _, secret := pair(t, number)
		wire, sent := script(&reference{number: number, secret: secret}, ops)
		if len(wire) > 0 {
			wire[int(at)%len(wire)] ^= xor
		}
		wire = append(wire, tail...)
		// It arrives in two pieces, with sleep in between.
		first := min(int(cut), len(wire))
		l := Layer{State: server}
		got, rest, err := openAll(&l, wire[:first])
		if err == nil {
			if len(rest) > MaxRecord || Complete(rest) {
				t.Fatalf("%d bytes are kept", len(rest))
			}
			l.Attach(server)
			var more []byte
			more, rest, err = openAll(&l, append(rest, wire[first:]...))
			got = append(got, more...)
		}
		if !bytes.HasPrefix(sent, got) {
			t.Fatalf("%d bytes that were not sealed", len(got))
		}
		if err == nil && (len(rest) > MaxRecord || Complete(rest)) {
			t.Fatalf("stops at a complete record: %d bytes", len(rest))
		}
		if err != nil {
			if data, _, again := l.Open(wire); again == nil || len(data) > 0 || (err == io.EOF) != (again == io.EOF) {
				t.Fatalf("goes on after %v: %v", err, again)
			}
		}
	})
}

// FuzzAgainstCryptoTLS: crypto/tls, reading the same wire, gets the same data and goes on or ends as we do.
func FuzzAgainstCryptoTLS(f *testing.F) {
	for i, ops := range seeds {
		f.Add(ops, uint32(11*i), byte(0))
		f.Add(ops, uint32(11*i), byte(i))
	}
	f.Add(bytes.Repeat([]byte{3, 48}, 12), uint32(0), byte(0))
	f.Add(bytes.Repeat([]byte{2, 48}, 20), uint32(0), byte(0))
	f.Fuzz(func(t *testing.T, ops []byte, at uint32, xor byte) {
		_, server, tapped, logged := shake(t, false)
		s := takeOver(t, server, tapped, logged)
		number := s.Suite()
		wire, _ := script(&reference{number: number, secret: append([]byte(nil), logged[clientLabel]...)}, ops)
		if len(wire) > 0 {
			wire[int(at)%len(wire)] ^= xor
		}
		l := Layer{State: s}
		got, rest, err := openAll(&l, wire)

		here, there := socketPair(t)
		tapped.Conn = here
		go func() { // ends with the pipe
			there.Write(wire)
			there.(*net.UnixConn).CloseWrite() // answers are still taken: without them crypto/tls reads no further
		}()
		go io.Copy(io.Discard, there) // alerts and answers; ends likewise
		want, wantErr := io.ReadAll(server)
		here.Close()
		if err == nil && wantErr == io.ErrUnexpectedEOF && len(rest) > 0 {
			wantErr = nil // the end in the middle of a record, for which we wait
		}
		var own *Error
		ended := errors.As(err, &own)
		flood := ended && own.Reason == "too many records without data" || wantErr != nil && strings.Contains(wantErr.Error(), "too many")
		switch {
		case flood: // the limits differ, and here pieces of a message count
			if !bytes.HasPrefix(got, want) && !bytes.HasPrefix(want, got) {
				t.Fatalf("%d bytes, %v; crypto/tls %d bytes, %v", len(got), err, len(want), wantErr)
			}
		case !bytes.Equal(got, want):
			t.Fatalf("%d bytes, %v; crypto/tls %d bytes, %v", len(got), err, len(want), wantErr)
		case ended && wantErr == nil:
			// Messages that are not allowed are refused at their first byte, where crypto/tls waits for their end.
			if own.Reason != "unexpected handshake message" && own.Reason != "KeyUpdate of an unexpected length" {
				t.Fatalf("%v; crypto/tls goes on", err)
			}
		case !ended && wantErr != nil:
			t.Fatalf("goes on; crypto/tls: %v", wantErr)
		}
	})
}

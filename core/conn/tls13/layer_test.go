package tls13

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"testing"
)

// forEachSuite runs test with a server's layer and a sender to it.
func forEachSuite(t *testing.T, test func(t *testing.T, l *Layer, r *reference)) {
	for _, number := range allSuites {
		t.Run(tls.CipherSuiteName(number), func(t *testing.T) {
			server, _, secret := pair(t, number)
			test(t, &Layer{State: server}, &reference{number: number, secret: secret})
		})
	}
}

func TestOpensWhatTheReferenceSeals(t *testing.T) {
	forEachSuite(t, func(t *testing.T, l *Layer, r *reference) {
		full := make([]byte, MaxPlaintext)
		rand.Read(full)
		var wire, want []byte
		for i, c := range []struct {
			data    []byte
			padding int
		}{{[]byte("a"), 0}, {full, 0}, {nil, 10}, {[]byte("a NOOP\r\n"), 300}, {[]byte{0, 0, 0}, 5}, {full[:100], MaxPlaintext - 100}} {
			wire = r.seal(wire, typeApplicationData, c.data, c.padding)
			want = append(want, c.data...)
			if i == 3 {
				wire = r.update(wire, 0)
			}
		}
		got, rest, err := openAll(l, wire)
		if err != nil || len(rest) != 0 || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, %d left, %v; want %d bytes", len(got), len(rest), err, len(want))
		}
	})
}

func TestVersionIsIgnoredButAuthenticated(t *testing.T) {
	forEachSuite(t, func(t *testing.T, l *Layer, r *reference) {
		wire := r.record(nil, []byte("x\x17"), typeApplicationData, 0x0301)
		if got, _, err := openAll(l, wire); err != nil || string(got) != "x" {
			t.Errorf("%q, %v", got, err)
		}
		wire = r.record(nil, []byte("x\x17"), typeApplicationData, 0x0303)
		wire[2] = 1
		wantAlert(t, l, wire, BadRecordMAC)
	})
}

// Both ends sleep between any two records, and whatever piece of the wire has arrived.
func TestConversationAsleepInBetween(t *testing.T) {
	for _, number := range allSuites {
		t.Run(tls.CipherSuiteName(number), func(t *testing.T) {
			server, client, _ := pair(t, number)
			seed := mrand.Uint64()
			t.Logf("seed %d", seed)
			rnd := mrand.New(mrand.NewPCG(seed, 2))
			ends := [2]struct {
				state      *State
				wire, sent []byte // on the way to it, and what it should get
				got        []byte
			}{{state: server}, {state: client}}
			for range 2000 {
				to := rnd.IntN(2)
				from, end := ends[1-to].state, &ends[to]
				l := Layer{State: from}
				data := make([]byte, rnd.IntN(1<<rnd.IntN(17)))
				rand.Read(data)
				var err error
				if rnd.IntN(10) == 0 {
					from.out.flags |= flagOwed
				}
				if end.wire, err = l.Seal(end.wire, data); err != nil {
					t.Fatal(err)
				}
				end.sent = append(end.sent, data...)
				arrived := rnd.IntN(len(end.wire) + 1)
				l = Layer{State: end.state}
				got, rest, err := openAll(&l, end.wire[:arrived])
				if err != nil {
					t.Fatal(err)
				}
				end.got = append(end.got, got...)
				end.wire = end.wire[arrived-len(rest):]
			}
			for i := range ends {
				l := Layer{State: ends[i].state}
				got, rest, err := openAll(&l, ends[i].wire)
				if err != nil || len(rest) > 0 {
					t.Fatalf("%d bytes left, %v", len(rest), err)
				}
				if !bytes.Equal(append(ends[i].got, got...), ends[i].sent) {
					t.Error("data is damaged")
				}
			}
		})
	}
}

// wantAlert opens wire, which must bring nothing and end with this alert of this side, once and for all.
func wantAlert(t *testing.T, l *Layer, wire []byte, want Alert) {
	t.Helper()
	got, _, err := openAll(l, wire)
	var e *Error
	if !errors.As(err, &e) || e.Remote || e.Alert != want || len(got) != 0 {
		t.Fatalf("%d bytes, %v; want the alert %v", len(got), err, want)
	}
	if data, used, err := l.Open(wire); err == nil || err == io.EOF || used != 0 || data != nil {
		t.Errorf("goes on after an error: %d, %v", used, err)
	}
	if b, err := l.Seal(nil, []byte("x")); err != ErrClosed || len(b) != 0 {
		t.Errorf("seals data after an error: %v", err)
	}
	if b, err := l.SealAlert(nil, want); err != nil || len(b) != HeaderSize+3+tagSize {
		t.Errorf("alert of %d bytes, %v", len(b), err)
	}
	if b, err := l.SealAlert(nil, want); err != ErrClosed || len(b) != 0 {
		t.Errorf("seals a second alert: %v", err)
	}
}

func TestRefused(t *testing.T) {
	app, hs, al := typeApplicationData, typeHandshake, typeAlert
	for _, c := range []struct {
		name string
		wire func(r *reference) []byte
		want Alert
	}{
		{"change_cipher_spec", func(r *reference) []byte { return []byte{20, 3, 3, 0, 1, 1} }, UnexpectedMessage},
		{"unprotected alert", func(r *reference) []byte { return []byte{21, 3, 3, 0, 2, 1, 0} }, UnexpectedMessage},
		{"unprotected handshake", func(r *reference) []byte { return []byte{22} }, UnexpectedMessage},
		{"type 0", func(r *reference) []byte { return make([]byte, 40) }, UnexpectedMessage},
		{"protected change_cipher_spec", func(r *reference) []byte { return r.seal(nil, 20, []byte{1}, 0) }, UnexpectedMessage},
		{"unknown content", func(r *reference) []byte { return r.seal(nil, 24, []byte("heartbeat"), 0) }, UnexpectedMessage},
		{"only zeros", func(r *reference) []byte { return r.record(nil, make([]byte, 9), app, 0x0303) }, UnexpectedMessage},
		{"no inner plaintext", func(r *reference) []byte { return r.record(nil, nil, app, 0x0303) }, UnexpectedMessage},
		{"too long", func(r *reference) []byte { return []byte{23, 3, 3, 0x41, 0x01} }, RecordOverflow},
		{"too much content", func(r *reference) []byte { return r.seal(nil, app, make([]byte, MaxPlaintext+1), 0) }, RecordOverflow},
		{"too much padding", func(r *reference) []byte { return r.seal(nil, app, []byte("x"), MaxPlaintext) }, RecordOverflow},
		{"the longest that is opened", func(r *reference) []byte {
			return r.record(nil, make([]byte, maxCiphertext-tagSize), app, 0x0303)
		}, RecordOverflow},
		{"empty record", func(r *reference) []byte { return []byte{23, 3, 3, 0, 0} }, BadRecordMAC},
		{"shorter than a tag", func(r *reference) []byte { return append([]byte{23, 3, 3, 0, 15}, make([]byte, 15)...) }, BadRecordMAC},
		{"repeated", func(r *reference) []byte {
			wire := r.seal(nil, app, nil, 1)
			return append(wire, wire...)
		}, BadRecordMAC},
		{"left out", func(r *reference) []byte { r.seq++; return r.seal(nil, app, []byte("x"), 0) }, BadRecordMAC},
		{"next key without KeyUpdate", func(r *reference) []byte { r.roll(); return r.seal(nil, app, []byte("x"), 0) }, BadRecordMAC},
		{"old key after KeyUpdate", func(r *reference) []byte {
			old := *r
			wire := r.update(nil, 0)
			old.seq++
			return old.seal(wire, app, []byte("x"), 0)
		}, BadRecordMAC},
		{"another type in the header", func(r *reference) []byte { return r.record(nil, []byte("x\x17"), al, 0x0303) }, UnexpectedMessage},
		{"empty alert", func(r *reference) []byte { return r.seal(nil, al, nil, 4) }, UnexpectedMessage},
		{"half an alert", func(r *reference) []byte { return r.seal(nil, al, []byte{2}, 0) }, DecodeError},
		{"two alerts", func(r *reference) []byte { return r.seal(nil, al, []byte{1, 0, 1, 0}, 0) }, DecodeError},
		{"empty handshake", func(r *reference) []byte { return r.seal(nil, hs, nil, 0) }, UnexpectedMessage},
		{"Certificate", func(r *reference) []byte { return r.seal(nil, hs, []byte{11, 0, 0, 0}, 0) }, UnexpectedMessage},
		{"ClientHello", func(r *reference) []byte { return r.seal(nil, hs, []byte{1, 0, 1, 0}, 0) }, UnexpectedMessage},
		{"Finished", func(r *reference) []byte { return r.seal(nil, hs, []byte{20, 0, 0, 32}, 0) }, UnexpectedMessage},
		{"ticket", func(r *reference) []byte { return r.seal(nil, hs, []byte{4, 0, 0, 1, 0}, 0) }, UnexpectedMessage},
		{"KeyUpdate too long", func(r *reference) []byte { return r.seal(nil, hs, []byte{24, 0, 0, 2, 0, 0}, 0) }, DecodeError},
		{"KeyUpdate empty", func(r *reference) []byte { return r.seal(nil, hs, []byte{24, 0, 0, 0}, 0) }, DecodeError},
		{"KeyUpdate huge", func(r *reference) []byte { return r.seal(nil, hs, []byte{24, 1}, 0) }, DecodeError},
		{"KeyUpdate unknown request", func(r *reference) []byte { return r.update(nil, 2) }, IllegalParameter},
		{"KeyUpdate unknown request in pieces", func(r *reference) []byte { return r.update(nil, 255, 2, 1) }, IllegalParameter},
		{"two KeyUpdates in a record", func(r *reference) []byte { return r.seal(nil, hs, []byte{24, 0, 0, 1, 0, 24, 0, 0, 1, 0}, 0) }, UnexpectedMessage},
		{"KeyUpdate and a byte", func(r *reference) []byte { return r.seal(nil, hs, []byte{24, 0, 0, 1, 0, 24}, 0) }, UnexpectedMessage},
		{"rest of a KeyUpdate and a byte", func(r *reference) []byte {
			return r.seal(r.seal(nil, hs, []byte{24, 0}, 0), hs, []byte{0, 1, 0, 0}, 0)
		}, UnexpectedMessage},
		{"data within a KeyUpdate", func(r *reference) []byte {
			return r.seal(r.seal(nil, hs, []byte{24, 0, 0}, 0), app, []byte("x"), 0)
		}, UnexpectedMessage},
		{"empty data within a KeyUpdate", func(r *reference) []byte {
			return r.seal(r.seal(nil, hs, []byte{24}, 0), app, nil, 0)
		}, UnexpectedMessage},
		{"close_notify within a KeyUpdate", func(r *reference) []byte {
			return r.seal(r.seal(nil, hs, []byte{24, 0, 0, 1}, 0), al, []byte{1, 0}, 0)
		}, UnexpectedMessage},
		{"empty handshake within a KeyUpdate", func(r *reference) []byte {
			return r.seal(r.seal(nil, hs, []byte{24, 0, 0, 1}, 0), hs, nil, 0)
		}, UnexpectedMessage},
		{"flood of empty records", func(r *reference) (wire []byte) {
			for range maxIdle + 1 {
				wire = r.seal(wire, app, nil, 0)
			}
			return wire
		}, UnexpectedMessage},
		{"flood of KeyUpdates", func(r *reference) (wire []byte) {
			for range maxIdle + 1 {
				wire = r.update(wire, 1)
			}
			return wire
		}, UnexpectedMessage},
		{"flood of user_canceled", func(r *reference) (wire []byte) {
			for range maxIdle + 1 {
				wire = r.seal(wire, al, []byte{1, 90}, 0)
			}
			return wire
		}, UnexpectedMessage},
	} {
		t.Run(c.name, func(t *testing.T) {
			forEachSuite(t, func(t *testing.T, l *Layer, r *reference) { wantAlert(t, l, c.wire(r), c.want) })
		})
	}
}

func TestEveryDamagedBitIsSeen(t *testing.T) {
	forEachSuite(t, func(t *testing.T, l *Layer, r *reference) {
		asleep := *l.State
		wire := r.seal(nil, typeApplicationData, []byte("a LOGIN demo demo\r\n"), 3)
		for bit := range 8 * len(wire) {
			s := asleep
			damaged := append([]byte(nil), wire...)
			damaged[bit/8] ^= 1 << (bit % 8)
			got, _, err := openAll(&Layer{State: &s}, damaged)
			longer := err == nil && bit/8 >= 3 && bit/8 < HeaderSize // the length says that more is to come
			if len(got) > 0 || err == nil && !longer || err == io.EOF {
				t.Errorf("bit %d: %q, %v", bit, got, err)
			}
		}
	})
}

func TestAlertsFromThePeer(t *testing.T) {
	forEachSuite(t, func(t *testing.T, l *Layer, r *reference) {
		asleep, start := *l.State, *r
		for a := range 256 {
			*l.State, *r = asleep, start
			*l = Layer{State: l.State}
			for _, level := range []byte{1, 2, 77} { // the level means nothing
				*l.State, *r = asleep, start
				wire := r.seal(nil, typeAlert, []byte{level, byte(a)}, 0)
				wire = r.seal(wire, typeApplicationData, []byte("more"), 0)
				got, _, err := openAll(l, wire)
				var e *Error
				switch Alert(a) {
				case CloseNotify:
					if err != io.EOF || len(got) > 0 {
						t.Errorf("close_notify: %q, %v", got, err)
					}
					if b, err := l.Seal(nil, []byte("answer")); err != nil || len(b) == 0 { // RFC 8446 §6.1: one direction
						t.Errorf("after close_notify: %v", err)
					}
				case userCanceled:
					if err != nil || string(got) != "more" {
						t.Errorf("user_canceled: %q, %v", got, err)
					}
				default:
					if !errors.As(err, &e) || !e.Remote || e.Alert != Alert(a) || len(got) > 0 {
						t.Errorf("alert %d: %q, %v", a, got, err)
					}
				}
			}
		}
	})
}

func TestKeyUpdateIsAnsweredOnceBeforeData(t *testing.T) {
	for _, number := range allSuites {
		server, client, secret := pair(t, number)
		r := &reference{number: number, secret: secret}
		l, peer := Layer{State: server}, Layer{State: client}
		wire := r.update(nil, 1)
		wire = r.update(wire, 0, 1, 1, 1, 1)
		wire = r.update(wire, 1, 2)
		wire = r.seal(wire, typeApplicationData, []byte("x"), 0)
		if got, _, err := openAll(&l, wire); err != nil || string(got) != "x" || !l.Owes() {
			t.Fatalf("%q, %v", got, err)
		}
		old := server.out.secret
		out, err := l.Seal(nil, nil)
		if err != nil || len(out) != HeaderSize+5+1+tagSize || l.Owes() || old == server.out.secret {
			t.Fatalf("answer of %d bytes, %v", len(out), err)
		}
		if out, err = l.Seal(out, []byte("data")); err != nil {
			t.Fatal(err)
		}
		if got, _, err := openAll(&peer, out); err != nil || string(got) != "data" || peer.Owes() {
			t.Errorf("%q, %v; a second update is owed: %v", got, err, peer.Owes())
		}
		if client.in.secret != server.out.secret || client.in.seq != 1 {
			t.Error("the ends disagree")
		}
	}
}

func TestFloodLimitStartsAnewWithData(t *testing.T) {
	forEachSuite(t, func(t *testing.T, l *Layer, r *reference) {
		for range 3 {
			var wire []byte
			for range maxIdle {
				wire = r.seal(wire, typeApplicationData, nil, 0)
			}
			wire = r.seal(wire, typeApplicationData, []byte("x"), 0)
			if got, _, err := openAll(l, wire); err != nil || string(got) != "x" {
				t.Fatalf("%q, %v", got, err)
			}
		}
	})
}

func TestOwnKeyUpdateBeforeTheLimit(t *testing.T) {
	for _, number := range allSuites {
		server, client, _ := pair(t, number)
		server.out.seq, client.in.seq = maxRecordsPerKey-1, maxRecordsPerKey-1
		l, peer := Layer{State: server}, Layer{State: client}
		data := bytes.Repeat([]byte("0123456789abcdef"), 3*MaxPlaintext/16)
		wire, err := l.Seal(nil, data)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := openAll(&peer, wire)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if server.out.seq != 2 || client.in.seq != 2 || client.in.secret != server.out.secret || peer.Owes() {
			t.Errorf("seq %d and %d", server.out.seq, client.in.seq)
		}
	}
}

func TestSequenceNumbersDoNotWrap(t *testing.T) {
	forEachSuite(t, func(t *testing.T, l *Layer, r *reference) {
		l.State.in.seq, r.seq = 1<<64-2, 1<<64-2
		if got, _, err := openAll(l, r.seal(nil, typeApplicationData, []byte("x"), 0)); err != nil || string(got) != "x" {
			t.Fatalf("%q, %v", got, err)
		}
		wantAlert(t, l, r.seal(nil, typeApplicationData, []byte("y"), 0), InternalError)
		l.State.out = half{suite: l.State.out.suite, seq: 1<<64 - 1}
		if b, err := l.SealAlert(nil, CloseNotify); err == nil || len(b) > 0 {
			t.Error("sealed under the last number")
		}
	})
}

func TestStartRefuses(t *testing.T) {
	long := make([]byte, 48)
	for _, c := range []struct {
		suite   uint16
		in, out []byte
	}{
		{tls.TLS_AES_128_GCM_SHA256, long, long}, {tls.TLS_AES_256_GCM_SHA384, long[:32], long[:32]}, {tls.TLS_AES_128_GCM_SHA256, long[:32], nil},
		{tls.TLS_AES_128_GCM_SHA256, nil, long[:32]}, {0x1300, long[:32], long[:32]}, {0x1304, long[:32], long[:32]}, {0x1401, long[:32], long[:32]},
		{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, long[:32], long[:32]}, {0, nil, nil}, {0xffff, long, long},
	} {
		t.Run(fmt.Sprintf("%#04x %d %d", c.suite, len(c.in), len(c.out)), func(t *testing.T) {
			s := State{in: half{seq: 7}}
			if err := s.Start(c.suite, c.in, c.out, 1); err == nil || s != (State{}) {
				t.Errorf("accepted: %v", err)
			}
		})
	}
	// A State that was not started, or was wiped, does nothing.
	l := Layer{State: new(State)}
	if b, err := l.Seal(nil, []byte("x")); err == nil || len(b) > 0 {
		t.Errorf("sealed %x", b)
	}
	failure := &Error{}
	if _, _, err := l.Open(append([]byte{23, 3, 3, 0, 20}, make([]byte, 20)...)); !errors.As(err, &failure) {
		t.Error(err)
	}
}

func TestLayerAllocatesItsCiphersOnly(t *testing.T) {
	forEachSuite(t, func(t *testing.T, l *Layer, r *reference) {
		var wire []byte
		for range 200 {
			wire = r.seal(wire, typeApplicationData, []byte("a NOOP\r\n"), 0)
		}
		dst := make([]byte, 0, 1000)
		next := func() {
			_, used, err := l.Open(wire)
			if err != nil || used == 0 {
				t.Fatal(err)
			}
			wire = wire[used:]
			if dst, err = l.Seal(dst[:0], []byte("a OK\r\n")); err != nil {
				t.Fatal(err)
			}
		}
		next()
		if n := testing.AllocsPerRun(100, next); n != 0 {
			t.Errorf("%v allocations for a record each way", n)
		}
	})
}

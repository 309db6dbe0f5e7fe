package tls13

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"io"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// RFC 8448 §3, "Simple 1-RTT Handshake".
const (
	vectorClient      = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"
	vectorServer      = "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643"
	vectorClientData  = "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4"
	vectorClientAlert = "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3"
	vectorServerData  = "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d"
	vectorServerAlert = "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9"
)

func TestRFC8448Keys(t *testing.T) {
	var s State
	if err := s.Start(tls.TLS_AES_128_GCM_SHA256, unhex(t, vectorClient), unhex(t, vectorServer), 1); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		h       *half
		key, iv string
	}{
		{&s.in, "17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9"},
		{&s.out, "9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984"},
	} {
		if g := hex.EncodeToString(c.h.key[:16]); g != c.key {
			t.Errorf("key %s, want %s", g, c.key)
		}
		if g := hex.EncodeToString(c.h.iv[:]); g != c.iv {
			t.Errorf("iv %s, want %s", g, c.iv)
		}
	}
}

func TestRFC8448Records(t *testing.T) {
	payload := make([]byte, 50)
	for i := range payload {
		payload[i] = byte(i)
	}
	var s State
	// The server has sent one ticket.
	if err := s.Start(tls.TLS_AES_128_GCM_SHA256, unhex(t, vectorClient), unhex(t, vectorServer), 1); err != nil {
		t.Fatal(err)
	}
	l := Layer{State: &s}
	got, err := l.Seal(nil, payload)
	if err != nil || !bytes.Equal(got, unhex(t, vectorServerData)) {
		t.Errorf("sealed %x, %v", got, err)
	}
	got, err = l.SealAlert(nil, CloseNotify)
	if err != nil || !bytes.Equal(got, unhex(t, vectorServerAlert)) {
		t.Errorf("close_notify %x, %v", got, err)
	}
	wire := append(unhex(t, vectorClientData), unhex(t, vectorClientAlert)...)
	data, used, err := l.Open(wire)
	if err != nil || !bytes.Equal(data, payload) {
		t.Fatalf("opened %x, %v", data, err)
	}
	if data, _, err = l.Open(wire[used:]); err != io.EOF || data != nil {
		t.Errorf("after close_notify %x, %v", data, err)
	}
}

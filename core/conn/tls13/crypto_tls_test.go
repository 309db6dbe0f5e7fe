package tls13

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// tap is a connection whose bytes are kept, and that hands out single records.
type tap struct {
	net.Conn
	read, wrote []byte
	left        int
}

func (c *tap) Read(p []byte) (int, error) {
	if c.left == 0 { // a header is next
		var head [HeaderSize]byte
		if _, err := io.ReadFull(c.Conn, head[:]); err != nil {
			return 0, err
		}
		c.left = int(head[3])<<8 | int(head[4])
		c.read = append(c.read, head[:]...)
		return copy(p, head[:]), nil // crypto/tls has room for more
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	c.read = append(c.read, p[:n]...)
	return n, err
}

func (c *tap) Write(p []byte) (int, error) {
	c.wrote = append(c.wrote, p...)
	return c.Conn.Write(p)
}

// secrets is a KeyLogWriter.
type secrets map[string][]byte

func (s secrets) Write(p []byte) (int, error) {
	f := strings.Fields(string(p))
	b, err := hex.DecodeString(f[2])
	s[f[0]] = b
	return len(p), err
}

// socketPair returns a connection with buffers, unlike net.Pipe: both ends may write at the same time.
func socketPair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket pair")
		if ends[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
		t.Cleanup(func() { ends[i].Close() })
	}
	return ends[0], ends[1]
}

// shake does a handshake and returns crypto/tls's client, the server's end of the wire, and what is known of the session.
func shake(t testing.TB, tickets bool) (client, server *tls.Conn, wire *tap, logged secrets) {
	t.Helper()
	here, there := socketPair(t)
	wire, logged = &tap{Conn: here}, secrets{}
	server = tls.Server(wire, &tls.Config{Certificates: []tls.Certificate{certificate()}, KeyLogWriter: logged, SessionTicketsDisabled: !tickets})
	cfg := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}
	if tickets {
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		cfg.ServerName = "localhost"
	}
	client = tls.Client(there, cfg)
	done := make(chan error, 1)
	go func() { done <- client.Handshake() }() // ends with the pipe
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return client, server, wire, logged
}

const (
	clientLabel = "CLIENT_TRAFFIC_SECRET_0"
	serverLabel = "SERVER_TRAFFIC_SECRET_0"
)

// takeOver starts a State from what was seen of a handshake.
func takeOver(t testing.TB, server *tls.Conn, wire *tap, logged secrets) *State {
	t.Helper()
	suite := server.ConnectionState().CipherSuite
	written, err := Written(suite, logged[serverLabel], wire.wrote)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := Written(suite, logged[clientLabel], wire.read); n != 0 || err != nil || wire.left != 0 {
		t.Fatalf("%d records were read, %v", n, err)
	}
	s := new(State)
	if err := s.Start(suite, logged[clientLabel], logged[serverLabel], written); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTakesOverFromCryptoTLS(t *testing.T) {
	for _, tickets := range []bool{false, true} {
		client, server, wire, logged := shake(t, tickets)
		s := takeOver(t, server, wire, logged)
		if (s.out.seq > 0) != tickets {
			t.Errorf("%d records written, tickets %v", s.out.seq, tickets)
		}
		big := make([]byte, 3*MaxPlaintext+5)
		rand.Read(big)
		done := make(chan error, 1)
		go func() {
			done <- func() error {
				for _, data := range [][]byte{[]byte("hello"), big, []byte("x")} {
					go client.Write(data) // ends with the pipe; its error shows in what comes back
					back := make([]byte, len(data))
					if _, err := io.ReadFull(client, back); err != nil {
						return err
					}
					if !bytes.Equal(back, data) {
						return errors.New("data is damaged")
					}
				}
				if err := client.CloseWrite(); err != nil {
					return err
				}
				if n, err := client.Read(make([]byte, 1)); n != 0 || err != io.EOF { // not without close_notify
					return errors.New("no close_notify")
				}
				return nil
			}()
		}()
		var in, out []byte
		for err := error(nil); err == nil; {
			buf := make([]byte, 5000)
			n, readErr := wire.Conn.Read(buf)
			if readErr != nil {
				t.Fatal(readErr)
			}
			in = append(in, buf[:n]...)
			l := Layer{State: s} // awake for as long as this turn
			var data []byte
			data, in, err = openAll(&l, in)
			if out, readErr = l.Seal(out[:0], data); readErr != nil {
				t.Fatal(readErr)
			}
			if err == io.EOF {
				out, _ = l.SealAlert(out, CloseNotify)
			} else if err != nil {
				t.Fatal(err)
			}
			if _, err := wire.Conn.Write(out); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestWrittenRefuses(t *testing.T) {
	_, server, wire, logged := shake(t, true)
	suite, secret := server.ConnectionState().CipherSuite, logged[serverLabel]
	n, err := Written(suite, secret, wire.wrote)
	if n != 1 || err != nil {
		t.Fatalf("%d records, %v", n, err)
	}
	again := append([]byte(nil), wire.wrote...)
	for name, w := range map[string][]byte{
		"part of a header": wire.wrote[:3],
		"part of a record": wire.wrote[:len(wire.wrote)-1],
		"a record behind":  append(again[:len(again):len(again)], 23, 3, 3, 0, 1, 0),
		"data":             (&reference{number: suite, secret: secret}).seal(nil, typeApplicationData, []byte("x"), 0),
		"KeyUpdate":        (&reference{number: suite, secret: secret}).update(nil, 0),
	} {
		if n, err := Written(suite, secret, w); err == nil {
			t.Errorf("%s: %d records", name, n)
		}
	}
	if _, err := Written(suite, secret[:5], wire.wrote); err == nil {
		t.Error("a short secret")
	}
	if n, err := Written(suite, make([]byte, len(secret)), wire.wrote); n != 0 || err != nil {
		t.Errorf("another secret: %d, %v", n, err)
	}
	if !bytes.Equal(again, wire.wrote) {
		t.Error("wire was changed")
	}
}

package session

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/roostmail/roost/core/conn/tls13"
)

// maxWatched is how much of a handshake is kept in each direction. One that is longer is left to crypto/tls.
const maxWatched = 128 << 10

// watch sees a handshake of crypto/tls from outside, so that its session can be carried on without crypto/tls: the traffic
// secrets, and everything that was sent, from which it is counted what the secrets were already used for. It lives as long as
// the handshake, and belongs to one connection.
type watch struct {
	in, out        []byte // all that was read and written
	over           bool   // that is not all
	client, server []byte // application_traffic_secret_0
	head           [tls13.HeaderSize]byte
	headLen        int // of head, the beginning of a record
	left           int // of the record, when head is complete
}

// watched returns cfg for handshakes over a transport, each of which shows its secrets to its own watch. Tickets are
// those of the result, so that a session can be resumed in another connection.
func watched(cfg *tls.Config) *tls.Config {
	outer := cfg.Clone()
	outer.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		c := cfg
		if cfg.GetConfigForClient != nil {
			other, err := cfg.GetConfigForClient(hello)
			if err != nil {
				return nil, err
			}
			if other != nil {
				c = other
			}
		}
		t, ok := hello.Conn.(transport)
		if !ok {
			return c, nil
		}
		c = c.Clone()
		c.KeyLogWriter = t.watch
		return c, nil
	}
	return outer
}

// Labels of the key log that crypto/tls writes (draft-ietf-tls-keylogfile).
var (
	labelClient = []byte("CLIENT_TRAFFIC_SECRET_0 ")
	labelServer = []byte("SERVER_TRAFFIC_SECRET_0 ")
)

// Write takes a line of the key log: label, client random, secret. Nothing but the two secrets is kept.
func (w *watch) Write(line []byte) (int, error) {
	secret := line[bytes.LastIndexByte(line, ' ')+1:]
	switch {
	case bytes.HasPrefix(line, labelClient):
		w.client = decodeSecret(secret)
	case bytes.HasPrefix(line, labelServer):
		w.server = decodeSecret(secret)
	}
	return len(line), nil
}

// decodeSecret returns nil for what is not hexadecimal.
func decodeSecret(digits []byte) []byte {
	digits = bytes.TrimRight(digits, "\n")
	b := make([]byte, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(b, digits); err != nil {
		return nil
	}
	return b
}

// room returns how much of what comes next belongs to the record that crypto/tls reads. No more is read from the
// socket: what crypto/tls had read ahead would be lost with it.
func (w *watch) room() int {
	if w.headLen < len(w.head) {
		return len(w.head) - w.headLen
	}
	return w.left
}

// read notes what was read, at most room.
func (w *watch) read(p []byte) {
	w.keep(&w.in, p)
	if w.headLen < len(w.head) {
		w.headLen += copy(w.head[w.headLen:], p)
		w.left = int(w.head[3])<<8 | int(w.head[4])
	} else {
		w.left -= len(p)
	}
	if w.headLen == len(w.head) && w.left == 0 {
		w.headLen = 0
	}
}

// wrote notes what was written.
func (w *watch) wrote(p []byte) { w.keep(&w.out, p) }

func (w *watch) keep(b *[]byte, p []byte) {
	if len(*b)+len(p) > maxWatched {
		w.over = true
		return
	}
	*b = append(*b, p...)
}

// start makes state the session's after its handshake. If anything is not as it should be, it fails and crypto/tls must carry
// the session on.
func (w *watch) start(state *tls13.State, suite uint16) error {
	switch {
	case w.over:
		return errors.New("the handshake is too long")
	case w.headLen > 0:
		return errors.New("the handshake has ended within a record")
	case w.client == nil || w.server == nil:
		return errors.New("crypto/tls has not told the secrets")
	}
	read, err := tls13.Written(suite, w.client, w.in)
	if err != nil {
		return fmt.Errorf("input: %w", err)
	}
	if read > 0 {
		return fmt.Errorf("input: %d records were read after the handshake", read)
	}
	written, err := tls13.Written(suite, w.server, w.out)
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return state.Start(suite, w.client, w.server, written)
}

// wipe overwrites the secrets.
func (w *watch) wipe() {
	clear(w.client)
	clear(w.server)
}

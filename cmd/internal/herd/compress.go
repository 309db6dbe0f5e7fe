package herd

import (
	"bytes"

	"github.com/klauspost/compress/flate"
)

// compressedNoops is how many NOOP commands, some 2 KB, a compressed session sends before it sleeps: what a server keeps of the stream
// grows with it.
const compressedNoops = 200

// wire is a session's connection below its compression.
type wire struct {
	s *session
	t *traffic
}

func (w wire) Read(b []byte) (int, error) { return w.s.readWire(w.t, b) }

// compress makes the session compressed (RFC 4978). Each takes some 50 KB of the herd's memory.
func (s *session) compress(t *traffic, scratch []byte) error {
	if err := s.command(t, scratch, "COMPRESS DEFLATE"); err != nil {
		return err
	}
	s.inflate = flate.NewReader(wire{s, t})
	var b bytes.Buffer
	last := ""
	for range compressedNoops {
		last = s.tag()
		b.WriteString(last + " NOOP\r\n")
	}
	if err := s.send(t, b.String()); err != nil {
		return err
	}
	return s.done(t, scratch, last)
}

// deflate compresses text, and keeps nothing.
func deflate(text string) ([]byte, error) {
	var b bytes.Buffer
	err := flate.StatelessDeflate(&b, []byte(text), false, nil)
	return b.Bytes(), err
}

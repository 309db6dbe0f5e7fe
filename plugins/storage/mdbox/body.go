package mdbox

import (
	"io"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/mdbox"
	"github.com/roostmail/roost/mdbox/dbox"
)

const (
	// wholeBody is up to which size a body is read as a whole before anything is sent.
	wholeBody = 256 << 10
	// bodyChunk is the size of the pieces of larger ones.
	bodyChunk = 128 << 10
)

// bodySender sends bodies. The size of a body is sent before it, and core has
// told it the client by then, so damage must be found first: a small body is in memory before its size is sent,
// and a large one is read twice.
type bodySender struct {
	buf []byte
	tee io.Writer // gets all that is sent as well; nil: nothing does
}

// send sends out and then length bytes of the message from offset on (0 = to the end).
// If sent is false nothing was sent, since the message can not be read.
func (s *bodySender) send(m *mdbox.Message, offset, length uint64, out *backend.FetchedMessage, sink backend.FetchSink) (sent bool, err error) {
	r, err := m.NewReader(offset, length)
	if err != nil {
		return false, err
	}
	defer func() { r.Close() }()
	out.BodySize = r.Len()
	if out.BodySize <= wholeBody {
		p := s.room(out, int(out.BodySize), sink)
		if err := readWhole(r, p); err != nil {
			return false, err
		}
		if err := sink.Message(out); err != nil || len(p) == 0 {
			return true, err
		}
		return true, s.body(p, sink)
	}
	s.grow(bodyChunk)
	if err := s.readAll(r); err != nil {
		return false, err
	}
	r.Close()
	again, err := m.NewReader(offset, length)
	if err != nil {
		return false, err
	}
	r = again
	if err := sink.Message(out); err != nil {
		return true, err
	}
	for {
		p := s.room(nil, int(min(bodyChunk, r.Len())), sink)
		n, err := r.Read(p)
		if n > 0 {
			if err := s.body(p[:n], sink); err != nil {
				return true, err
			}
		}
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return true, toBackend(err)
		}
	}
}

// whole returns a message that is small enough to be read as a whole, and else nil. It is valid until the next call.
func (s *bodySender) whole(m *mdbox.Message) ([]byte, error) {
	r, err := m.NewReader(0, 0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if r.Len() > wholeBody {
		return nil, nil
	}
	s.grow(int(r.Len()))
	err = readWhole(r, s.buf)
	return s.buf, err
}

// room returns n bytes for what is sent next (see backend.RoomySink): those of the sink, or buf.
func (s *bodySender) room(m *backend.FetchedMessage, n int, sink backend.FetchSink) []byte {
	if roomy, ok := sink.(backend.RoomySink); ok {
		if p := roomy.Room(m, n); p != nil {
			return p
		}
	}
	s.grow(n)
	return s.buf
}

// readWhole reads r, to its end, into p, which is as long as what is left of it.
func readWhole(r *dbox.Reader, p []byte) error {
	if _, err := io.ReadFull(r, p); err != nil {
		return err
	}
	if _, err := r.Read(nil); err != io.EOF { // the message goes on
		return err
	}
	return nil
}

// body sends a piece of a body.
func (s *bodySender) body(p []byte, sink backend.FetchSink) error {
	if s.tee != nil {
		if _, err := s.tee.Write(p); err != nil {
			return err
		}
	}
	return sink.Body(p)
}

// grow gives buf the length n.
func (s *bodySender) grow(n int) {
	if cap(s.buf) < n {
		s.buf = make([]byte, n)
	}
	s.buf = s.buf[:n]
}

// readAll reads r to its end.
func (s *bodySender) readAll(r io.Reader) error {
	for {
		if _, err := r.Read(s.buf); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

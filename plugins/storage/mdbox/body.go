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
		if err := s.fill(r); err != nil {
			return false, err
		}
		if err := sink.Message(out); err != nil || len(s.buf) == 0 {
			return true, err
		}
		return true, s.body(s.buf, sink)
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
		n, err := r.Read(s.buf)
		if n > 0 {
			if err := s.body(s.buf[:n], sink); err != nil {
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
	err = s.fill(r)
	return s.buf, err
}

// fill reads r, to its end, into buf.
func (s *bodySender) fill(r *dbox.Reader) error {
	s.grow(int(r.Len()))
	if _, err := io.ReadFull(r, s.buf); err != nil {
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

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
// and a large one is read twice. So is found out whether the size that is noted of a message is right.
type bodySender struct {
	buf   []byte
	tee   io.Writer // gets all that is sent as well; nil: nothing does
	sized bool      // the size of the message is sent with it
}

// send sends out and then length bytes of the message from offset on (0 = to the end).
// If sent is false nothing was sent, since the message can not be read; dbox.ErrVirtualSize if its size was found to be another than
// out or the body's size say.
func (s *bodySender) send(m *mdbox.Message, offset, length uint64, out *backend.FetchedMessage, sink backend.FetchSink) (sent bool, err error) {
	r, err := m.NewReader(offset, length)
	if err != nil {
		return false, err
	}
	defer func() { r.Close() }()
	out.BodySize = r.Len()
	if out.BodySize <= wholeBody {
		p := s.room(out, int(out.BodySize), sink)
		if err := s.readWhole(r, p, m, out); err != nil {
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
	if err := s.checkSize(m, out); err != nil {
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

// whole returns a message that is small enough to be read as a whole, and else nil. It is valid until the next call. The error is
// dbox.ErrVirtualSize if its size is another than noted, or than out says.
func (s *bodySender) whole(m *mdbox.Message, out *backend.FetchedMessage) ([]byte, error) {
	r, err := m.NewReader(0, 0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if r.Len() > wholeBody {
		return nil, nil
	}
	s.grow(int(r.Len()))
	err = s.readWhole(r, s.buf, m, out)
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

// readWhole reads r, to its end, into p, which is as long as what is left of it. It is a reader of m, of which out is to be sent.
func (s *bodySender) readWhole(r *dbox.Reader, p []byte, m *mdbox.Message, out *backend.FetchedMessage) error {
	if _, err := io.ReadFull(r, p); err != nil {
		return err
	}
	if _, err := r.Read(nil); err != io.EOF { // the message goes on
		return err
	}
	return s.checkSize(m, out)
}

// checkSize compares the size that is to be sent with what m was found to have, if all of it was read.
func (s *bodySender) checkSize(m *mdbox.Message, out *backend.FetchedMessage) error {
	if n, found := m.FoundSize(); s.sized && found && n != out.Size {
		return dbox.ErrVirtualSize
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

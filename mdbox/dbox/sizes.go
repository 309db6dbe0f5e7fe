package dbox

import (
	"errors"
	"fmt"
	"io"

	"github.com/roostmail/roost/mdbox/vfs"
)

// The virtual size of a message is noted when it is saved (KeyVirtualSize, or in the name of a Maildir's file), since to find it out takes
// reading all of it. The note can be wrong: a program had a bug, or somebody has changed the file. The text is what counts, as long as it
// has its physical size. So a note that can not be right is not used, one that may be is until a Reader meets another end.

// ErrVirtualSize says that a message was found to have another virtual size than was noted. VirtualSize knows the right one from then on:
// whoever has told nobody the wrong one reads again. It comes with a *vfs.CorruptError.
var ErrVirtualSize = errors.New("dbox: the size that was noted of a message is wrong")

// VirtualSize returns the size of the message with CRLF line ends, in bytes: what is noted in the metadata, if it was not found to be wrong.
// A message without a note, or with one that the line ends can not account for, is read to count; the error is one of reading it,
// or a *vfs.CorruptError for a note that is no number.
func (m *Message) VirtualSize() (uint64, error) {
	if m.sized {
		return m.virtual, nil
	}
	noted, ok, err := m.metadata.hex(KeyVirtualSize)
	if err != nil {
		return 0, vfs.At(err, m.file.Name(), m.metaOff)
	}
	low, high := m.virtualRange()
	switch {
	case m.stored() && low == high: // no more than a look at what is in memory
		m.virtual, m.sized = low, true
		return low, nil
	case ok && !m.unsure && low <= noted && noted <= high:
		return noted, nil
	}
	return m.countVirtual()
}

// virtualRange returns the lowest and the highest virtual size that the message can have, as far as that is known without reading.
// They are equal if all of it is in memory as it is stored.
func (m *Message) virtualRange() (low, high uint64) {
	var head []byte
	if m.stored() {
		head = m.window[m.file.header.HeaderSize:]
		head = head[:min(uint64(len(head)), m.header.Size)]
	}
	var c crlf
	low = m.physical + c.bareLFs(head)
	return low, low + m.physical - uint64(len(head))
}

// NotedVirtualSize returns what the metadata say; false if they have no such number.
func (m *Message) NotedVirtualSize() (size uint64, ok bool) {
	size, ok, err := m.metadata.hex(KeyVirtualSize)
	return size, ok && err == nil
}

// FoundVirtualSize returns what the message was found to have, when it was counted or read to its end; false if neither was done.
func (m *Message) FoundVirtualSize() (size uint64, ok bool) { return m.virtual, m.sized }

// SetVirtualSize makes size that of the message, which FoundVirtualSize returned when it was open before.
func (m *Message) SetVirtualSize(size uint64) { m.virtual, m.sized = size, true }

// otherEnd returns the error of who has met another end of the message than one with the given virtual size, and counts.
func (m *Message) otherEnd(size uint64) error {
	found, err := m.countVirtual()
	if err != nil {
		return err
	}
	wrong := m.corrupt(m.metaOff, "message has the virtual size %d, not %d", size, found)
	if found == size {
		return wrong // it was changed while it was read
	}
	return fmt.Errorf("%w: %w", ErrVirtualSize, wrong)
}

// countVirtual reads the message to count its bytes with CRLF line ends.
func (m *Message) countVirtual() (uint64, error) {
	s, err := m.openStream()
	if err != nil {
		return 0, err
	}
	defer s.close()
	var c crlf
	var size uint64
	for {
		chunk, err := s.next()
		if err == io.EOF {
			m.virtual, m.sized = size, true
			return size, nil
		}
		if err != nil {
			return 0, err
		}
		n, _ := c.skip(1<<63, chunk)
		size += n
	}
}

// NewText returns a reader of the whole message with CRLF line ends, for who need not know its size before: it ends where the message does,
// whatever is noted. It is valid until the message is closed, and must be closed before it.
func (m *Message) NewText() (io.ReadCloser, error) {
	r, err := m.NewReader(0, 0)
	if err != nil {
		return nil, err
	}
	return &text{m: m, r: r}, nil
}

type text struct {
	m  *Message
	r  *Reader
	at uint64 // virtual bytes returned
}

func (t *text) Read(p []byte) (int, error) {
	for {
		n, err := t.r.Read(p)
		t.at += uint64(n)
		if n > 0 && err != io.EOF {
			return n, nil // what is wrong is found again
		}
		if !errors.Is(err, ErrVirtualSize) {
			return n, err
		}
		r, err := t.m.NewReader(t.at, 0)
		if err != nil {
			return 0, err
		}
		t.r.Close()
		t.r = r
	}
}

func (t *text) Close() error { return t.r.Close() }

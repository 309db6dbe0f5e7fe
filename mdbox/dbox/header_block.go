package dbox

import (
	"bytes"
	"io"
)

// AppendHeader appends the header block of the message, with CRLF line ends: all
// up to and with the first empty line, or the whole message if there is none.
// Nothing behind it is read but what came with the same read. It returns a
// *LimitError if the block has more than Config.MaxHeaderSize bytes.
func (m *Message) AppendHeader(dst []byte) ([]byte, error) {
	s, err := m.openStream()
	if err != nil {
		return dst, err
	}
	defer s.close()
	limit := len(dst) + m.store.cfg.MaxHeaderSize
	var find headerEnd
	var conv crlf
	for {
		chunk, err := s.next()
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
		n, found := find.in(chunk)
		if dst = conv.append(dst, chunk[:n]); len(dst) > limit {
			return dst, &LimitError{Setting: "MaxHeaderSize", Limit: uint64(m.store.cfg.MaxHeaderSize)}
		}
		if found {
			return dst, nil
		}
	}
}

// append appends src with CRLF line ends.
func (c *crlf) append(dst, src []byte) []byte {
	for len(src) > 0 {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)] // grows it as append does
		}
		nd, ns := c.convert(dst[len(dst):cap(dst)], src)
		dst = dst[:len(dst)+nd]
		src = src[ns:]
	}
	return dst
}

// headerEnd looks for the first empty line of a message that comes in pieces.
type headerEnd struct {
	line int  // bytes of the current line so far, as far as it matters: 0, 1 or 2 = more
	cr   bool // the line's only byte is CR
}

// in returns the offset just after the empty line, if it ends in chunk, else len(chunk).
func (h *headerEnd) in(chunk []byte) (end int, found bool) {
	pos := 0
	for pos < len(chunk) {
		i := bytes.IndexByte(chunk[pos:], '\n')
		if i < 0 {
			h.add(chunk[pos:])
			return len(chunk), false
		}
		h.add(chunk[pos : pos+i])
		pos += i + 1
		if h.line == 0 || h.line == 1 && h.cr {
			return pos, true
		}
		*h = headerEnd{}
	}
	return pos, false
}

func (h *headerEnd) add(b []byte) {
	if len(b) == 0 {
		return
	}
	h.cr = h.line == 0 && len(b) == 1 && b[0] == '\r'
	h.line = min(2, h.line+len(b))
}

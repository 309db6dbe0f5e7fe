package dbox

import (
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/roostmail/roost/mdbox/vfs"
)

// splicer is a message body with its attachments put back: body bytes up to an
// attachment's start, then the attachment in the form it had, and so on.
type splicer struct {
	body io.Reader
	refs []Attachment // not inserted yet
	dir  string
	fsys vfs.FS

	pos  uint64 // in the whole message
	part *attachmentReader
}

func (s *splicer) Read(p []byte) (int, error) {
	for {
		if s.part == nil && len(s.refs) > 0 && s.pos == s.refs[0].Start {
			part, err := openAttachment(s.fsys, s.dir, s.refs[0])
			if err != nil {
				return 0, err
			}
			s.part = part
			s.refs = s.refs[1:]
		}
		if s.part == nil {
			return s.readBody(p)
		}
		n, err := s.part.Read(p)
		s.pos += uint64(n)
		if err == io.EOF {
			s.part.Close()
			s.part = nil
			err = nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// readBody reads from the body, at most up to the next attachment.
func (s *splicer) readBody(p []byte) (int, error) {
	if len(s.refs) > 0 {
		p = p[:min(uint64(len(p)), s.refs[0].Start-s.pos)]
	}
	n, err := s.body.Read(p)
	s.pos += uint64(n)
	if err == io.EOF && len(s.refs) > 0 {
		if s.pos == s.refs[0].Start {
			return n, nil // the attachment is the end of the message
		}
		err = vfs.Corrupt(0, "attachment at %d lies inside the message of %d bytes", s.refs[0].Start, s.pos)
	}
	return n, err
}

func (s *splicer) Close() {
	if s.part != nil {
		s.part.Close()
		s.part = nil
	}
}

// attachmentReader is an attachment file in the form it has inside the message.
type attachmentReader struct {
	ref  Attachment
	file vfs.File
	off  int64  // read from file so far
	left uint64 // bytes of ref.Size not returned yet
	line []byte // encoded line with its line end, not returned yet
	buf  []byte // memory of line
	raw  []byte // memory for one decoded line
}

func openAttachment(fsys vfs.FS, dir string, ref Attachment) (*attachmentReader, error) {
	name := filepath.Join(dir, ref.Path)
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		// Not fs.ErrNotExist to callers: that would mean the message has moved.
		return nil, vfs.At(vfs.Corrupt(0, "attachment file exists"), name, 0)
	}
	if err != nil {
		return nil, err
	}
	return &attachmentReader{ref: ref, file: f, left: ref.Size}, nil
}

func (a *attachmentReader) Close() { a.file.Close() }

// Read returns io.EOF after exactly ref.Size bytes, if the file has as many.
func (a *attachmentReader) Read(p []byte) (int, error) {
	var n int
	var err error
	if a.ref.LineLength == 0 {
		n, err = a.file.ReadAt(p, a.off)
		a.off += int64(n)
	} else {
		n, err = a.readEncoded(p)
	}
	if uint64(n) > a.left {
		return 0, vfs.At(vfs.Corrupt(0, "attachment has %d bytes in the message, not more", a.ref.Size), a.file.Name(), 0)
	}
	a.left -= uint64(n)
	if err == io.EOF && a.left > 0 {
		err = vfs.At(vfs.Corrupt(0, "attachment has %d bytes in the message, not %d less", a.ref.Size, a.left), a.file.Name(), 0)
	}
	return n, err
}

// readEncoded returns base64 lines. The last one has no line end: what follows
// it in the message is in the body.
func (a *attachmentReader) readEncoded(p []byte) (n int, err error) {
	for n < len(p) {
		if len(a.line) == 0 {
			if err := a.encodeLines(); err != nil {
				return n, err
			}
		}
		c := copy(p[n:], a.line)
		n += c
		a.line = a.line[c:]
	}
	return n, nil
}

// linesPerRead is how many base64 lines are made from one read of the file.
const linesPerRead = 256

// encodeLines reads the next lines and encodes them into line, each but the very
// first preceded by a line end.
func (a *attachmentReader) encodeLines() error {
	perLine := a.ref.LineLength / 4 * 3
	if a.raw == nil {
		a.raw = make([]byte, linesPerRead*perLine)
	}
	n, err := a.file.ReadAt(a.raw, a.off)
	if n == 0 {
		return noNil(err)
	}
	if err != nil && err != io.EOF {
		return err
	}
	raw := a.raw[:n]
	a.buf = a.buf[:0]
	for len(raw) > 0 {
		if a.off > 0 {
			if a.ref.CRLF {
				a.buf = append(a.buf, '\r')
			}
			a.buf = append(a.buf, '\n')
		}
		part := raw[:min(perLine, len(raw))]
		a.buf = base64.StdEncoding.AppendEncode(a.buf, part)
		a.off += int64(len(part))
		raw = raw[len(part):]
	}
	a.line = a.buf
	return nil
}

// noNil guards against a ReaderAt that returns neither bytes nor an error.
func noNil(err error) error {
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

package dbox

import (
	"io"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Scanned is a message found by Scan.
type Scanned struct {
	Offset   uint64 // of the message header in the file
	Header   MessageHeader
	Body     uint64 // offset of the stored body
	Metadata Metadata
	End      uint64 // offset just after the metadata
}

// Scan reads a mail file from its first message to its last, without the map,
// and calls visit for each; s and all it holds are valid until visit returns.
// It ends with the first error of visit, with a *vfs.CorruptError at the first
// message that is not well-formed, or with nil at the end of the file. maxMetadata
// bounds the metadata of one message, in bytes.
func Scan(f vfs.File, maxMetadata int, visit func(h FileHeader, s *Scanned) error) error {
	var buf [fileHeaderMax]byte
	n, err := f.ReadAt(buf[:], 0)
	if err != nil && err != io.EOF {
		return err
	}
	head, first, err := DecodeFileHeader(append([]byte(nil), buf[:n]...))
	if err != nil {
		return vfs.At(err, f.Name(), 0)
	}
	return scanFrom(f, head, uint64(first), maxMetadata, visit)
}

// scanFrom is Scan from the message at off on.
func scanFrom(f vfs.File, head FileHeader, off uint64, maxMetadata int, visit func(h FileHeader, s *Scanned) error) error {
	var buf [messageHeaderMax]byte
	s := Scanned{Offset: off}
	var meta []byte
	for {
		n, err := f.ReadAt(buf[:head.HeaderSize], int64(s.Offset))
		if n == 0 && err == io.EOF {
			return nil
		}
		if err != nil && err != io.EOF {
			return err
		}
		if s.Header, err = DecodeMessageHeader(buf[:min(n, head.HeaderSize)]); err == nil && n < head.HeaderSize {
			err = vfs.Corrupt(int64(n), "message header lies inside the file")
		}
		if err != nil {
			return vfs.At(err, f.Name(), int64(s.Offset))
		}
		s.Body = s.Offset + uint64(head.HeaderSize)
		at := s.Body + s.Header.Size
		var size int
		s.Metadata, size, meta, err = readMetadata(f, int64(at), maxMetadata, s.Metadata[:0], meta)
		if err != nil {
			return vfs.At(err, f.Name(), int64(at))
		}
		s.End = at + uint64(size)
		if err := visit(head, &s); err != nil {
			return err
		}
		s.Offset = s.End
	}
}

// metadataRead is how much is read at first to find the end of a metadata block.
const metadataRead = 1 << 10

// readMetadata reads and decodes the metadata block at off, using the memory of
// into and buf. Offsets in errors are relative to off.
func readMetadata(f io.ReaderAt, off int64, limit int, into Metadata, buf []byte) (m Metadata, size int, _ []byte, err error) {
	for want := metadataRead; ; want *= 4 {
		want = min(want, limit)
		buf = grow(buf, want)
		n, err := f.ReadAt(buf, off)
		if err != nil && err != io.EOF {
			return into, 0, buf, err
		}
		m, size, err := DecodeMetadata(buf[:n], into)
		switch {
		case err != ErrShort:
			return m, size, buf, err
		case n < want:
			return into, 0, buf, vfs.Corrupt(int64(n), "metadata lies inside the file and ends with an empty line")
		case want == limit:
			return into, 0, buf, &LimitError{Setting: "MaxMetadataSize", Limit: uint64(limit)}
		}
	}
}

package dbox

import (
	"strconv"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Plain is what is known, from elsewhere, of a message that is a file of its own, without header and metadata.
type Plain struct {
	Received int64  // INTERNALDATE, UNIX time
	GUID     string // as printed
	Physical uint64 // size of the text as stored, uncompressed, if the file is compressed; the end of the text tells if it is wrong
	Virtual  uint64 // the same with CRLF line ends; 0 = not known
	Unsure   bool   // Virtual is to be counted
}

// OpenPlain returns the message that is the whole of an open file, compressed or not. The message closes the file; after an error it is
// closed. Errors are those of Open.
func (s *Files) OpenPlain(v vfs.File, p Plain) (*Message, error) {
	info, err := v.Stat()
	if err != nil {
		v.Close()
		return nil, err
	}
	m := messagePool.Get().(*Message)
	f := &file{File: v, info: info, users: 1}
	*m = Message{store: s, file: f, window: m.window[:0], metaBuf: m.metaBuf[:0], metadata: m.metadata[:0]}
	m.header.Size, m.metaOff, m.unsure = uint64(info.Size), info.Size, p.Unsure
	m.metadata = append(m.metadata, hexLine(KeyReceived, uint64(max(p.Received, 0))), MetadataLine{KeyGUID, []byte(p.GUID)})
	if p.Virtual > 0 {
		m.metadata = append(m.metadata, hexLine(KeyVirtualSize, p.Virtual))
	}
	buf := grow(m.window, min(int(info.Size), firstRead))
	n, err := v.ReadAt(buf, 0)
	if n < len(buf) && err != nil {
		m.window = buf[:0]
		m.Close()
		return nil, err
	}
	m.window = buf
	if DetectCompression(buf[:min(len(buf), magicSize)]) != Uncompressed {
		m.metadata = append(m.metadata, hexLine(KeyPhysicalSize, p.Physical))
		m.unsure, m.endless = true, true
	}
	if err := m.interpret(); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func hexLine(key byte, v uint64) MetadataLine {
	return MetadataLine{key, strconv.AppendUint(nil, v, 16)}
}

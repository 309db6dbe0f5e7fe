package dbox

import (
	"bytes"
	"strconv"

	"github.com/roostmail/roost/mdbox/vfs"
)

// File header, one line of text (dovecot src/lib-storage/index/dbox-common/dbox-file.h,
// dbox_file_header_parse):
//
//	"2 M1e C6b04a69c\n"
//	 |  |   +- C: creation time, UNIX time in hex
//	 |  +----- M: size of each message header in bytes, hex, mandatory
//	 +-------- version digit, 1 or 2
//
// Fields follow the version in any order, separated by spaces. Those with
// another key (A in version 1) are kept in Other.
const (
	// fileHeaderMax is the longest header line that is looked for. Dovecot writes 16 bytes.
	fileHeaderMax = 256
	// messageHeaderSize is the only message header size that Dovecot writes.
	messageHeaderSize = 30
	// messageHeaderMax bounds M: a version 1 header ends with flags, still far below this.
	messageHeaderMax = 1024
)

// FileHeader is the first line of an m.N file.
type FileHeader struct {
	Version    int    // 1 or 2; only files of version 2 may be appended to
	HeaderSize int    // M: size of each message header in bytes, 30 to 1024
	Created    int64  // C: UNIX time, 0 = not given
	Other      []byte // fields with other keys, separated by spaces
}

// DecodeFileHeader decodes the line at the start of b, which may hold more. It
// returns the offset of the first message, just after the LF. Other refers to b.
func DecodeFileHeader(b []byte) (h FileHeader, n int, err error) {
	line := b[:min(len(b), fileHeaderMax)]
	end := bytes.IndexByte(line, '\n')
	if end < 0 {
		return FileHeader{}, 0, vfs.Corrupt(0, "file header is a line of at most %d bytes", fileHeaderMax)
	}
	line = line[:end]
	if len(line) < 2 || (line[0] != '1' && line[0] != '2') || line[1] != ' ' {
		return FileHeader{}, 0, vfs.Corrupt(0, "file header starts with version 1 or 2")
	}
	h.Version = int(line[0] - '0')
	pos := 2
	for pos < len(line) {
		field := line[pos:]
		if sp := bytes.IndexByte(field, ' '); sp >= 0 {
			field = field[:sp]
		}
		if err := h.setField(field, pos); err != nil {
			return FileHeader{}, 0, err
		}
		pos += len(field) + 1
	}
	if h.HeaderSize == 0 {
		return FileHeader{}, 0, vfs.Corrupt(0, "file header has the message header size M")
	}
	return h, end + 1, nil
}

// setField takes one field that starts at off.
func (h *FileHeader) setField(field []byte, off int) error {
	if len(field) == 0 {
		return nil
	}
	switch field[0] {
	case 'M':
		m, ok := parseHex(field[1:])
		if !ok || m < messageHeaderSize || m > messageHeaderMax {
			return vfs.Corrupt(int64(off), "message header size M is %d to %d", messageHeaderSize, messageHeaderMax)
		}
		h.HeaderSize = int(m)
	case 'C':
		c, ok := parseHex(field[1:])
		if !ok || c > 1<<62 {
			return vfs.Corrupt(int64(off), "creation time C is a hexadecimal number")
		}
		h.Created = int64(c)
	default:
		if len(h.Other) > 0 {
			h.Other = append(h.Other[:len(h.Other):len(h.Other)], ' ')
		}
		h.Other = append(h.Other[:len(h.Other):len(h.Other)], field...)
	}
	return nil
}

// Append appends the header line as Dovecot writes it.
func (h FileHeader) Append(b []byte) []byte {
	b = append(b, byte('0'+h.Version), ' ', 'M')
	b = strconv.AppendUint(b, uint64(h.HeaderSize), 16)
	if h.Created != 0 {
		b = append(b, " C"...)
		b = strconv.AppendInt(b, h.Created, 16)
	}
	if len(h.Other) > 0 {
		b = append(b, ' ')
		b = append(b, h.Other...)
	}
	return append(b, '\n')
}

// parseHex parses 1 to 16 hexadecimal digits of either case.
func parseHex(b []byte) (uint64, bool) {
	if len(b) == 0 || len(b) > 16 {
		return 0, false
	}
	var v uint64
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		v = v<<4 | uint64(c)
	}
	return v, true
}

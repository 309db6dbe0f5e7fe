package cache

import (
	"encoding/binary"

	"github.com/roostmail/roost/mdbox/vfs"
)

// Value of mime.parts, depth-first, the message itself first (dovecot
// src/lib-mail/message-part-serialize.c):
//
//	len  field                present
//	  4  flags                always
//	  8  physical position    not in the first part
//	  8  header size, physical
//	  8  header size, virtual
//	  8  body size, physical
//	  8  body size, virtual
//	  4  body lines           text/* and message/rfc822
//	  4  children             multipart and message/rfc822; so many parts follow

// PartFlags describe a MIME part.
type PartFlags uint32

// Part flags; the numbers are on disk.
const (
	PartMultipart PartFlags = 0x01
	PartDigest    PartFlags = 0x02
	PartMessage   PartFlags = 0x04 // message/rfc822: exactly one child
	PartText      PartFlags = 0x08
	PartHasNUL    PartFlags = 0x20
	PartIsMIME    PartFlags = 0x40 // MIME-Version is there or implied
	PartOverflow  PartFlags = 0x80 // more parts than Dovecot parses
)

// Part is one MIME part of a message. Physical positions and sizes are of the
// stored form with LF line ends, virtual ones of the CRLF form, both in bytes.
type Part struct {
	Flags         PartFlags
	Pos           uint64 // of the part's header, physical; 0 in the first
	HeaderSize    uint64 // physical, with the empty line
	HeaderVirtual uint64
	BodySize      uint64 // physical
	BodyVirtual   uint64
	Lines         uint32 // of the body; 0 unless PartText or PartMessage
	Children      uint32 // direct ones, which follow with their own; 0 unless PartMultipart or PartMessage
}

const (
	partLines    = PartText | PartMessage
	partChildren = PartMultipart | PartMessage
)

// end returns the physical offset behind the part's body; ok is false if it would wrap.
func (p *Part) end() (end uint64, ok bool) {
	const most = 1 << 62
	if p.Pos > most || p.HeaderSize > most-p.Pos || p.BodySize > most-p.Pos-p.HeaderSize {
		return 0, false
	}
	return p.Pos + p.HeaderSize + p.BodySize, true
}

// AppendParts decodes a mime.parts value and appends its parts, depth-first, to into.
func AppendParts(into []Part, data []byte) ([]Part, error) {
	// open holds the parts whose children are being read.
	type frame struct {
		left  uint32 // children still to come
		start uint64 // where the next child may start
		end   uint64 // where they must end
	}
	var open []frame
	first := len(into)
	pos := 0
	for {
		p, n, err := decodePart(data[pos:], pos == 0)
		if err != nil {
			return into[:first], vfs.At(err, "", int64(pos))
		}
		end, ok := p.end()
		if !ok || p.HeaderVirtual < p.HeaderSize || p.BodyVirtual < p.BodySize {
			return into[:first], vfs.Corrupt(int64(pos), "virtual sizes of a part are not below the physical ones")
		}
		if len(open) > 0 {
			parent := &open[len(open)-1]
			if p.Pos < parent.start || end > parent.end {
				return into[:first], vfs.Corrupt(int64(pos), "part lies inside its parent's body, behind its siblings")
			}
			parent.left--
			parent.start = end
		}
		pos += n
		into = append(into, p)
		if p.Children > 0 {
			open = append(open, frame{left: p.Children, start: p.Pos + p.HeaderSize, end: end})
		}
		for len(open) > 0 && open[len(open)-1].left == 0 {
			open = open[:len(open)-1]
		}
		if len(open) == 0 {
			break
		}
	}
	if pos != len(data) {
		return into[:first], vfs.Corrupt(int64(pos), "message is the only part without a parent")
	}
	return into, nil
}

func decodePart(b []byte, root bool) (p Part, n int, err error) {
	short := vfs.Corrupt(0, "part lies inside the value")
	if len(b) < 4 {
		return Part{}, 0, short
	}
	p.Flags = PartFlags(binary.LittleEndian.Uint32(b))
	n = 4
	fields := []*uint64{&p.Pos, &p.HeaderSize, &p.HeaderVirtual, &p.BodySize, &p.BodyVirtual}
	if root {
		fields = fields[1:]
	}
	for _, f := range fields {
		if len(b)-n < 8 {
			return Part{}, 0, short
		}
		*f = binary.LittleEndian.Uint64(b[n:])
		n += 8
	}
	for _, f := range [...]struct {
		when PartFlags
		to   *uint32
	}{{partLines, &p.Lines}, {partChildren, &p.Children}} {
		if p.Flags&f.when == 0 {
			continue
		}
		if len(b)-n < 4 {
			return Part{}, 0, short
		}
		*f.to = binary.LittleEndian.Uint32(b[n:])
		n += 4
	}
	if p.Flags&PartMessage != 0 && p.Children != 1 && p.Flags&PartOverflow == 0 {
		return Part{}, 0, vfs.Corrupt(int64(n), "message/rfc822 part has one child")
	}
	return p, n, nil
}

// AppendPartsValue is the inverse of AppendParts.
func AppendPartsValue(b []byte, parts []Part) []byte {
	u32, u64 := binary.LittleEndian.AppendUint32, binary.LittleEndian.AppendUint64
	for i := range parts {
		p := &parts[i]
		b = u32(b, uint32(p.Flags))
		if i > 0 {
			b = u64(b, p.Pos)
		}
		b = u64(u64(u64(u64(b, p.HeaderSize), p.HeaderVirtual), p.BodySize), p.BodyVirtual)
		if p.Flags&partLines != 0 {
			b = u32(b, p.Lines)
		}
		if p.Flags&partChildren != 0 {
			b = u32(b, p.Children)
		}
	}
	return b
}

package message

// SectionKind says which bytes of a part a section is (RFC 3501 §6.4.5).
type SectionKind uint8

// Section kinds.
const (
	SectionAll       SectionKind = iota // BODY[] or, with a path, the body of a part
	SectionMIME                         // [n.MIME]: the header of a part
	SectionHeader                       // [HEADER], [n.HEADER]
	SectionFields                       // [HEADER.FIELDS (…)]
	SectionFieldsNot                    // [HEADER.FIELDS.NOT (…)]
	SectionText                         // [TEXT], [n.TEXT]
)

// Section names a section of a message.
type Section struct {
	Path   []uint32 // part numbers, from 1; empty = the message itself
	Kind   SectionKind
	Fields []string // names for SectionFields and SectionFieldsNot
}

// Section returns a section of the message. A section that does not exist is empty,
// which ok tells apart. The result points into the message, or for lists of fields is new.
func (m *Message) Section(s *Section) (b []byte, ok bool) {
	i := int32(0)
	if len(s.Path) == 0 {
		if s.Kind == SectionAll {
			return m.data, true
		}
	} else {
		if i = m.find(s.Path); i < 0 {
			return nil, false
		}
		switch s.Kind {
		case SectionAll:
			return m.body(i), true
		case SectionMIME:
			return m.header(i), true
		}
		if m.parts[i].flags&flagMessage == 0 {
			return nil, false // HEADER and TEXT are those of a message
		}
		i = m.parts[i].firstChild
	}
	switch s.Kind {
	case SectionFields, SectionFieldsNot:
		return AppendFields(nil, m.header(i), s.Fields, s.Kind == SectionFieldsNot), true
	case SectionText:
		return m.body(i), true
	}
	return m.header(i), true
}

// find returns the part with a path, or -1. A message/rfc822 and the message in it are one level, and a message that
// is no multipart has one part, 1, its body.
func (m *Message) find(path []uint32) int32 {
	i := int32(0)
	for k, n := range path {
		last := k == len(path)-1
		p := &m.parts[i]
		switch {
		case p.flags&flagMultipart != 0:
			if i = p.firstChild; i == 0 {
				return -1
			}
			for ; n > 1; n-- {
				if i = m.parts[i].next; i == 0 {
					return -1
				}
			}
		case n != 1 || !last && p.flags&flagMessage == 0:
			return -1
		}
		if p = &m.parts[i]; p.flags&flagMessage != 0 && !last {
			i = p.firstChild
		}
	}
	return i
}

// Partial returns the bytes of b from offset on, at most length (RFC 3501 §6.4.5, <offset.length>).
func Partial(b []byte, offset, length uint64) []byte {
	if offset >= uint64(len(b)) {
		return nil
	}
	b = b[offset:]
	if length < uint64(len(b)) {
		b = b[:length]
	}
	return b
}

package message

import "strconv"

// AppendBodyStructure appends the BODYSTRUCTURE of the message without the
// parentheses around it (RFC 3501 §7.4.2), or with extended = false the BODY. That of a plain message (IsPlain) is always
// the same, as Dovecot makes it from size and lines, however the message spells it.
func (m *Message) AppendBodyStructure(dst []byte, extended bool) []byte {
	if m.IsPlain() {
		return m.appendSingle(dst, 0, &content{}, extended)
	}
	return m.AppendSpelledStructure(dst, extended)
}

// AppendSpelledStructure is AppendBodyStructure as the message spells it, which is what Dovecot caches where it may cache no sizes and lines.
func (m *Message) AppendSpelledStructure(dst []byte, extended bool) []byte {
	return m.appendStructure(dst, 0, extended)
}

func (m *Message) appendStructure(dst []byte, i int32, extended bool) []byte {
	c := m.content(i)
	if m.parts[i].flags&flagMultipart != 0 {
		return m.appendMultipart(dst, i, &c, extended)
	}
	return m.appendSingle(dst, i, &c, extended)
}

func (m *Message) appendMultipart(dst []byte, i int32, c *content, extended bool) []byte {
	if m.parts[i].firstChild == 0 { // must have one: an empty text
		dst = append(dst, `("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0`...)
		if extended {
			dst = append(dst, ` NIL NIL NIL NIL`...)
		}
		dst = append(dst, ')')
	}
	dst = m.appendChildren(dst, i, extended)
	dst = append(dst, ' ')
	dst = appendNString(dst, c.subtype)
	if !extended {
		return dst
	}
	dst = append(dst, ' ')
	dst = appendParams(dst, c.params, false)
	return appendExtension(dst, c)
}

func (m *Message) appendChildren(dst []byte, i int32, extended bool) []byte {
	for j := m.parts[i].firstChild; j != 0; j = m.parts[j].next {
		dst = append(dst, '(')
		dst = m.appendStructure(dst, j, extended)
		dst = append(dst, ')')
	}
	return dst
}

func (m *Message) appendSingle(dst []byte, i int32, c *content, extended bool) []byte {
	p := &m.parts[i]
	text := false
	switch {
	case p.flags&flagMessage != 0:
		dst = append(dst, `"message" "rfc822"`...)
	case m.isCut(i, c):
		dst = append(dst, `"application" "octet-stream"`...)
	case c.typ == nil:
		dst = append(dst, `"text" "plain"`...)
		text = true
	default:
		text = equalFold(c.typ, "text")
		dst = appendNString(dst, c.typ)
		dst = append(dst, ' ')
		dst = appendNString(dst, c.subtype)
	}
	dst = append(dst, ' ')
	dst = appendParams(dst, c.params, text)
	dst = append(dst, ' ')
	dst = appendUnfolded(dst, c.id)
	dst = append(dst, ' ')
	dst = appendUnfolded(dst, c.description)
	dst = append(dst, ' ')
	if c.encoding == nil {
		dst = append(dst, `"7bit"`...)
	} else {
		dst = appendNString(dst, c.encoding)
	}
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, int64(p.bodySize+p.bareLFs), 10)
	if p.flags&flagMessage != 0 {
		dst = append(dst, " ("...)
		dst = AppendEnvelope(dst, m.header(p.firstChild))
		dst = append(dst, ") "...)
		dst = m.appendChildren(dst, i, extended)
	}
	if text || p.flags&flagMessage != 0 {
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, int64(p.bodyLines), 10)
	}
	if !extended {
		return dst
	}
	dst = append(dst, ' ')
	dst = appendUnfolded(dst, c.md5)
	return appendExtension(dst, c)
}

// isCut reports whether a part should contain others, but was not taken apart: a limit was reached, or its type
// is incomplete. Such a part is shown as opaque data.
func (m *Message) isCut(i int32, c *content) bool {
	if c.typ == nil {
		parent := m.parts[i].parent
		return parent >= 0 && m.parts[parent].flags&flagDigest != 0
	}
	return equalFold(c.typ, "multipart") || equalFold(c.typ, "message") && equalFold(c.subtype, "rfc822")
}

// appendExtension appends disposition, language and location.
func appendExtension(dst []byte, c *content) []byte {
	dst = append(dst, ' ')
	if c.disposition == nil {
		dst = append(dst, "NIL"...)
	} else {
		dst = append(dst, '(')
		dst = appendNString(dst, c.disposition)
		dst = append(dst, ' ')
		dst = appendParams(dst, c.dispParams, false)
		dst = append(dst, ')')
	}
	dst = append(dst, ' ')
	if c.language == nil {
		dst = append(dst, "NIL"...)
	} else {
		for i, tag := range c.language {
			dst = append(dst, "( "[min(i, 1)])
			dst = appendNString(dst, tag)
		}
		dst = append(dst, ')')
	}
	dst = append(dst, ' ')
	return appendUnfolded(dst, c.location)
}

// appendParams appends a parameter list; text says that charset has a default (RFC 2045 §5.2).
func appendParams(dst []byte, params []param, text bool) []byte {
	if len(params) == 0 && !text {
		return append(dst, "NIL"...)
	}
	dst = append(dst, '(')
	charset := false
	for i, prm := range params {
		if i > 0 {
			dst = append(dst, ' ')
		}
		charset = charset || equalFold(prm.name, "charset")
		dst = appendNString(dst, prm.name)
		dst = append(dst, ' ')
		dst = appendNString(dst, prm.value)
	}
	if text && !charset {
		if len(params) > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, `"charset" "us-ascii"`...)
	}
	return append(dst, ')')
}

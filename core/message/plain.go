package message

// IsPlain reports whether the BODYSTRUCTURE of the message is that of the simplest message, a text/plain in us-ascii and
// 7bit without anything else: then size and lines tell all of it (Dovecot's src/lib-mail/message-part-data.c,
// message_part_data_is_plain_7bit).
func (m *Message) IsPlain() bool {
	p := &m.parts[0]
	if p.flags&flagText == 0 || p.firstChild != 0 {
		return false
	}
	c := m.content(0)
	if c.typ != nil && !equalFold(c.subtype, "plain") {
		return false
	}
	switch len(c.params) {
	case 0:
	case 1:
		if !equalFold(c.params[0].name, "charset") || !equalFold(c.params[0].value, "us-ascii") {
			return false
		}
	default:
		return false
	}
	return c.id == nil && c.description == nil && (c.encoding == nil || equalFold(c.encoding, "7bit")) &&
		c.md5 == nil && c.disposition == nil && c.language == nil && c.location == nil
}

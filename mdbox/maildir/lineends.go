package maildir

// lineEnds converts the line ends of a message: to LF, or with crlf to CRLF. A CR that no LF follows stays. It counts what it returns.
type lineEnds struct {
	crlf     bool
	held     bool   // a CR that waits for what follows it
	last     byte   // of what was returned
	physical uint64 // bytes returned
	virtual  uint64 // the same with CRLF line ends
}

// append appends p, converted, to dst.
func (c *lineEnds) append(dst, p []byte) []byte {
	for _, b := range p {
		if c.held && (b != '\n' || c.crlf) {
			dst = c.put(dst, '\r')
		}
		if b == '\n' && c.crlf && !c.held {
			dst = c.put(dst, '\r')
		}
		if c.held = b == '\r'; !c.held {
			dst = c.put(dst, b)
		}
	}
	return dst
}

// end appends what was held back at the end of the message.
func (c *lineEnds) end(dst []byte) []byte {
	if c.held {
		dst = c.put(dst, '\r')
	}
	c.held = false
	return dst
}

func (c *lineEnds) put(dst []byte, b byte) []byte {
	c.physical++
	c.virtual++
	if b == '\n' && c.last != '\r' {
		c.virtual++
	}
	c.last = b
	return append(dst, b)
}

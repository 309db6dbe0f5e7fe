package cache

import "bytes"

// toLF turns a message into the form in which package dbox stores it: a CR directly before an LF is dropped, once; other
// CRs stay. It works on pieces of any size.
type toLF struct {
	held bool // a CR that ended the last piece waits for what follows it
}

// append appends the stored form of p to dst.
func (c *toLF) append(dst, p []byte) []byte {
	if len(p) == 0 {
		return dst
	}
	if c.held && p[0] != '\n' {
		dst = append(dst, '\r')
	}
	if c.held = p[len(p)-1] == '\r'; c.held {
		p = p[:len(p)-1]
	}
	for {
		i := bytes.IndexByte(p, '\r')
		if i < 0 {
			return append(dst, p...)
		}
		dst = append(dst, p[:i]...)
		if p = p[i+1:]; len(p) == 0 || p[0] != '\n' {
			dst = append(dst, '\r')
		}
	}
}

// end appends what was held back at the end of the message.
func (c *toLF) end(dst []byte) []byte {
	if c.held {
		c.held = false
		dst = append(dst, '\r')
	}
	return dst
}

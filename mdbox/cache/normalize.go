package cache

import "bytes"

// lineEnds turns a message into what is stored of it: CRLF becomes LF (or with crlf, a LF without CR becomes CRLF), as in
// dovecot src/lib/istream-crlf.c. Other CRs stay. It works on pieces of any size.
type lineEnds struct {
	crlf   bool
	lastCR bool // with crlf: the last byte was a CR. Without: there was one that may belong to a line end
}

// append appends the stored form of p to dst.
func (l *lineEnds) append(dst, p []byte) []byte {
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		line := p
		if i >= 0 {
			line = p[:i]
		}
		if l.lastCR && !l.crlf && len(line) > 0 {
			dst = append(dst, '\r')
			l.lastCR = false
		}
		if len(line) > 0 {
			l.lastCR = line[len(line)-1] == '\r'
		}
		if !l.crlf && l.lastCR && len(line) > 0 {
			line = line[:len(line)-1]
		}
		dst = append(dst, line...)
		if i < 0 {
			break
		}
		if l.crlf && !l.lastCR {
			dst = append(dst, '\r')
		}
		dst = append(dst, '\n')
		l.lastCR = false
		p = p[i+1:]
	}
	return dst
}

// end appends what was held back at the end of the message.
func (l *lineEnds) end(dst []byte) []byte {
	if l.lastCR && !l.crlf {
		l.lastCR = false
		dst = append(dst, '\r')
	}
	return dst
}

package dbox

import "bytes"

// lf turns CRLF line ends into LF: a CR directly before an LF is dropped, once ("\r\r\n" becomes "\r\n"); any
// other CR or LF stays. It also counts both sizes of the message.
//
// Format: dovecot src/lib-mail/istream-crlf.c, i_stream_create_lf.
type lf struct {
	held     bool   // a CR that ends the input so far waits for what follows it
	back     crlf   // the way back, to count
	physical uint64 // bytes returned
	virtual  uint64 // the same with CRLF line ends, as a Reader will return them
}

// convert converts buf[1:], in place. buf[0] is room for a CR held back earlier. last says that no more
// input follows. The result is a part of buf.
func (c *lf) convert(buf []byte, last bool) []byte {
	b := buf[1:]
	if c.held && (len(b) > 0 && b[0] != '\n' || len(b) == 0 && last) {
		buf[0] = '\r'
		b = buf
	}
	if len(b) > 0 || last {
		c.held = false
	}
	if n := len(b); n > 0 && b[n-1] == '\r' && !last {
		b = b[:n-1]
		c.held = true
	}
	b = dropCRs(b)
	if len(b) > 0 {
		c.physical += uint64(len(b))
		c.virtual += uint64(len(b)) + c.back.bareLFs(b)
		c.back.afterCR = b[len(b)-1] == '\r'
	}
	return b
}

var lineEnd = []byte("\r\n")

// dropCRs removes the CR of each CRLF in b, in place.
func dropCRs(b []byte) []byte {
	end := bytes.Index(b, lineEnd) // of what is done
	if end < 0 {
		return b
	}
	for pos := end + 1; ; { // of what is to be done, from an LF on
		next := bytes.Index(b[pos:], lineEnd)
		if next < 0 {
			return b[:end+copy(b[end:], b[pos:])]
		}
		end += copy(b[end:], b[pos:pos+next])
		pos += next + 1
	}
}

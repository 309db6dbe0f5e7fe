package dbox

import "bytes"

// crlf turns LF line ends into CRLF: an LF that no CR precedes gets one. Its
// state is whether the byte before the next one is a CR; the zero value stands
// at the start of a message.
type crlf struct{ afterCR bool }

// convert converts src into dst until either is used up, and returns how many
// bytes of each it used. An LF of which only the CR fits is not consumed: the
// inserted CR is then what precedes it at the next call.
func (c *crlf) convert(dst, src []byte) (nd, ns int) {
	for ns < len(src) && nd < len(dst) {
		line := src[ns:]
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i]
		}
		if len(line) > 0 {
			n := copy(dst[nd:], line)
			nd += n
			ns += n
			c.afterCR = line[n-1] == '\r'
			if n < len(line) || ns == len(src) {
				continue // dst is full, or there is no LF
			}
		}
		if nd == len(dst) {
			break
		}
		if !c.afterCR { // src[ns] is a bare LF
			dst[nd] = '\r'
			nd++
			c.afterCR = true
			if nd == len(dst) {
				break
			}
		}
		dst[nd] = '\n'
		nd++
		ns++
		c.afterCR = false
	}
	return nd, ns
}

// skipBlock is how many bytes of src are measured at once when skipping.
const skipBlock = 4096

// skip consumes src as if it was converted into a buffer of want bytes.
func (c *crlf) skip(want uint64, src []byte) (skipped uint64, ns int) {
	for ns < len(src) && skipped < want {
		block := src[ns:min(len(src), ns+skipBlock)]
		size := uint64(len(block)) + c.bareLFs(block)
		if size > want-skipped {
			var rest [2 * skipBlock]byte // a converted block fits
			nd, n := c.convert(rest[:min(want-skipped, uint64(len(rest)))], block)
			return skipped + uint64(nd), ns + n
		}
		skipped += size
		ns += len(block)
		c.afterCR = block[len(block)-1] == '\r'
	}
	return skipped, ns
}

// bareLFs counts the LFs in block that no CR precedes.
func (c *crlf) bareLFs(block []byte) uint64 {
	n := bytes.Count(block, []byte{'\n'})
	if n == 0 {
		return 0
	}
	n -= bytes.Count(block, []byte("\r\n"))
	if c.afterCR && block[0] == '\n' {
		n--
	}
	return uint64(n)
}

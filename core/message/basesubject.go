package message

import "bytes"

// AppendBaseSubject appends the base subject of a Subject field, in the form in which
// search compares text (RFC 5256 §2.1; its steps are numbered here). reply says whether something
// was taken away that marks a reply or forward.
func AppendBaseSubject(dst []byte, f Field) (base []byte, reply bool) {
	start := len(dst)
	value, _ := f.text(nil)
	dst = appendDecodedWords(dst, value) // (1)
	decoded := len(dst)
	dst = appendFolded(dst, dst[start:])
	dst = dst[:start+copy(dst[start:], dst[decoded:])]
	dst = dst[:start+packBlanks(dst[start:])]
	s := subject{b: dst[start:]}
	for {
		s.trailers() // (2)
		for s.leader() || s.blob() {
			// (3), (4), (5)
		}
		if !s.forward() { // (6)
			break
		}
	}
	return append(dst[:start], s.b...), s.reply // (7)
}

// packBlanks makes every run of blanks and line ends in b one space, and returns the new length.
func packBlanks(b []byte) int {
	n := 0
	for _, c := range b {
		if c == '\t' || c == '\r' || c == '\n' {
			c = ' '
		}
		if c == ' ' && n > 0 && b[n-1] == ' ' {
			continue
		}
		b[n] = c
		n++
	}
	return n
}

// subject is what is left of a subject, in upper case, with single spaces (RFC 5256 §5).
type subject struct {
	b     []byte
	reply bool
}

// trailers removes all that matches subj-trailer = "(fwd)" / WSP.
func (s *subject) trailers() {
	for {
		s.b = bytes.TrimRight(s.b, " ")
		b, ok := bytes.CutSuffix(s.b, []byte("(FWD)"))
		if !ok {
			return
		}
		s.b, s.reply = b, true
	}
}

// leader removes one subj-leader = (*subj-blob subj-refwd) / WSP.
func (s *subject) leader() bool {
	b, blank := bytes.CutPrefix(s.b, []byte(" "))
	s.b = b
	for {
		rest, ok := cutBlob(b)
		if !ok {
			break
		}
		b = rest
	}
	b, ok := cutReply(b)
	if ok {
		s.b, s.reply = b, true
	}
	return blank || ok
}

// cutReply removes subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":".
func cutReply(b []byte) (rest []byte, ok bool) {
	for _, word := range []string{"RE", "FWD", "FW"} {
		if rest, ok = bytes.CutPrefix(b, []byte(word)); ok {
			break
		}
	}
	if !ok {
		return b, false
	}
	rest = bytes.TrimLeft(rest, " ")
	rest, _ = cutBlob(rest)
	return bytes.CutPrefix(rest, []byte(":"))
}

// cutBlob removes subj-blob = "[" *BLOBCHAR "]" *WSP.
func cutBlob(b []byte) (rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '[' {
		return b, false
	}
	n := bytes.IndexAny(b[1:], "[]") + 1
	if n == 0 || b[n] != ']' {
		return b, false
	}
	return bytes.TrimLeft(b[n+1:], " "), true
}

// blob removes a subj-blob that something is left behind of.
func (s *subject) blob() bool {
	rest, ok := cutBlob(s.b)
	if !ok || len(rest) == 0 {
		return false
	}
	s.b = rest
	return true
}

// forward removes subj-fwd-hdr and subj-fwd-trl around the rest, "[fwd:" and "]".
func (s *subject) forward() bool {
	b, ok := bytes.CutPrefix(s.b, []byte("[FWD:"))
	if !ok || len(b) == 0 || b[len(b)-1] != ']' {
		return false
	}
	s.b, s.reply = b[:len(b)-1], true
	return true
}

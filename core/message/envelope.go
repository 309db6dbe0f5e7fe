package message

import "sync"

// EnvelopeFields are the header fields that an ENVELOPE is made of.
var EnvelopeFields = []string{"Date", "Subject", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "In-Reply-To", "Message-ID"}

// Indexes of the envelope's fields, in the order of RFC 3501 §7.4.2.
const (
	envDate = iota
	envSubject
	envFrom
	envSender
	envReplyTo
	envTo
	envCc
	envBcc
	envInReplyTo
	envMessageID
	envCount
)

// envelopeField returns the index of a field, or -1.
func envelopeField(name []byte) int {
	switch len(name) {
	case 2:
		if equalFold(name, "To") {
			return envTo
		}
		if equalFold(name, "Cc") {
			return envCc
		}
	case 3:
		if equalFold(name, "Bcc") {
			return envBcc
		}
	case 4:
		if equalFold(name, "Date") {
			return envDate
		}
		if equalFold(name, "From") {
			return envFrom
		}
	case 6:
		if equalFold(name, "Sender") {
			return envSender
		}
	case 7:
		if equalFold(name, "Subject") {
			return envSubject
		}
	case 8:
		if equalFold(name, "Reply-To") {
			return envReplyTo
		}
	case 10:
		if equalFold(name, "Message-ID") {
			return envMessageID
		}
	case 11:
		if equalFold(name, "In-Reply-To") {
			return envInReplyTo
		}
	}
	return -1
}

// envelopeWriter is the scratch space of AppendEnvelope.
type envelopeWriter struct {
	values [envCount][]byte
	found  [envCount]uint32 // how many fields of the name there are
	buf    []byte           // unfolded values
	dst    []byte
	count  int // addresses written for the current field
	parser addressParser
}

var envelopeWriters = sync.Pool{New: func() any {
	w := &envelopeWriter{parser: addressParser{buf: make([]byte, 0, 256)}}
	w.parser.keepComment = true
	w.parser.emit = w.address
	return w
}}

// AppendEnvelope appends the ENVELOPE of a header block, without the parentheses around it
// (RFC 3501 §7.4.2). Fields that are not needed may be in header, and those that are needed may be missing.
// Of several fields with one name the last one counts, but address lists are joined, as in Dovecot.
func AppendEnvelope(dst, header []byte) []byte {
	w := envelopeWriters.Get().(*envelopeWriter)
	w.found, w.buf = [envCount]uint32{}, w.buf[:0]
	for f, rest, ok := NextField(header); ok; f, rest, ok = NextField(rest) {
		if i := envelopeField(f.Name); i >= 0 {
			w.values[i], w.buf = f.text(w.buf)
			w.found[i]++
		}
	}
	w.dst = dst
	w.string(envDate)
	w.dst = append(w.dst, ' ')
	if w.found[envSubject] > 0 {
		w.dst = appendHuman(w.dst, w.values[envSubject])
	} else {
		w.dst = append(w.dst, "NIL"...)
	}
	w.addresses(header)
	w.dst = append(w.dst, ' ')
	w.string(envInReplyTo)
	w.dst = append(w.dst, ' ')
	w.string(envMessageID)
	dst, w.dst = w.dst, nil
	w.values = [envCount][]byte{}
	w.parser.b = nil
	envelopeWriters.Put(w)
	return dst
}

func (w *envelopeWriter) string(i int) {
	if w.found[i] == 0 {
		w.dst = append(w.dst, "NIL"...)
		return
	}
	w.dst = appendUnfolded(w.dst, w.values[i])
}

// addresses writes from, sender, reply-to, to, cc and bcc. Sender and reply-to without address are those of from.
func (w *envelopeWriter) addresses(header []byte) {
	var from, fromEnd int
	for i := envFrom; i <= envBcc; i++ {
		w.dst = append(w.dst, ' ')
		start := len(w.dst)
		w.count = 0
		switch w.found[i] {
		case 0:
		case 1:
			w.list(w.values[i])
		default:
			for f, rest, ok := NextField(header); ok; f, rest, ok = NextField(rest) {
				if envelopeField(f.Name) == i {
					w.values[i], w.buf = f.text(w.buf)
					w.list(w.values[i])
				}
			}
		}
		switch {
		case w.count > 0:
			w.dst = append(w.dst, ')')
		case i == envSender || i == envReplyTo:
			w.dst = append(w.dst, w.dst[from:fromEnd]...)
		default:
			w.dst = append(w.dst, "NIL"...)
		}
		if i == envFrom {
			from, fromEnd = start, len(w.dst)
		}
	}
}

func (w *envelopeWriter) list(value []byte) {
	p := &w.parser
	p.b, p.i, p.addr, p.buf = value, 0, address{}, p.buf[:0]
	if p.skip() == more {
		p.list()
	}
}

func (w *envelopeWriter) address(a *address) {
	dst := w.dst
	if w.count == 0 {
		dst = append(dst, '(')
	}
	w.count++
	dst = append(dst, '(')
	if a.name == nil {
		dst = append(dst, "NIL"...)
	} else {
		dst = appendHuman(dst, a.name)
	}
	dst = append(dst, ' ')
	dst = appendNString(dst, a.route)
	dst = append(dst, ' ')
	dst = appendNString(dst, a.mailbox)
	dst = append(dst, ' ')
	dst = appendNString(dst, a.domain)
	w.dst = append(dst, ')')
}

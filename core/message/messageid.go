package message

import "bytes"

// NextMessageID returns the first message ID of a Message-ID, In-Reply-To or References value, without its brackets and
// in one notation (RFC 5256 §3: unquoted where the quotes mean nothing), and what follows it. What is no ID is passed over; id is nil at the end.
func NextMessageID(value []byte) (id, rest []byte) {
	for {
		i := bytes.IndexByte(value, '<')
		if i < 0 {
			return nil, nil
		}
		value = value[i+1:]
		i = bytes.IndexAny(value, `>"([`)
		switch {
		case i < 0:
			return nil, nil
		case value[i] != '>':
			if id, rest := parseMessageID(value); id != nil {
				return id, rest
			}
		case bytes.IndexByte(value[:i], '@') >= 0:
			return withoutBlanks(value[:i]), value[i+1:]
		default:
			value = value[i+1:]
		}
	}
}

// parseMessageID reads id-left "@" id-right ">" (RFC 5322 §3.6.4), with quotes and comments.
func parseMessageID(value []byte) (id, rest []byte) {
	l := lexer{b: value}
	if l.skip() != more {
		return nil, nil
	}
	var st status
	if l.next('"') {
		id, st = l.quoted([]byte{})
	} else {
		id, st = l.dotAtom([]byte{})
	}
	if st != more || !l.next('@') {
		return nil, nil
	}
	if id, st = l.domain(append(id, '@')); st != more || !l.next('>') {
		return nil, nil
	}
	return id, value[l.i+1:]
}

// withoutBlanks returns b without the blanks in it, in which folded IDs differ.
func withoutBlanks(b []byte) []byte {
	if !bytes.ContainsAny(b, " \t\r\n") {
		return b
	}
	out := make([]byte, 0, len(b))
	for _, c := range b {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			out = append(out, c)
		}
	}
	return out
}

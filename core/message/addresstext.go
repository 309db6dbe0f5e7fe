package message

import "bytes"

// appendAddressText appends an address list in one notation, whatever the original was:
// "Name <route:local@domain>", groups as "name: …;", joined by ", " (Dovecot, src/lib-mail/message-address.c).
func appendAddressText(dst, value []byte) []byte {
	inGroup, first := false, true
	parseAddresses(value, func(a *address) {
		if inGroup && a.mailbox == nil && a.domain == nil {
			inGroup, first = false, false
			if n := len(dst); n > 0 && dst[n-1] == ' ' {
				dst = dst[:n-1]
			}
			dst = append(dst, ';')
			return
		}
		if !first {
			dst = append(dst, ", "...)
		}
		first = false
		if a.domain == nil { // a group starts
			dst = appendWord(dst, a.mailbox, true)
			dst = append(dst, ": "...)
			inGroup, first = true, true
			return
		}
		if len(a.name) > 0 {
			dst = appendWord(dst, a.name, true)
			dst = append(dst, ' ')
		}
		dst = append(dst, '<')
		if a.route != nil {
			dst = append(dst, a.route...)
			dst = append(dst, ':')
		}
		dst = appendWord(dst, a.mailbox, false)
		dst = append(dst, '@')
		dst = append(dst, a.domain...)
		dst = append(dst, '>')
	})
	return dst
}

// appendWord appends a display name or local part, quoted if it has to be; encoded words must not be quoted (RFC 2047 §5).
func appendWord(dst, word []byte, isName bool) []byte {
	quote := len(word) == 0
	for _, c := range word {
		if charClass[c]&isAtext == 0 && (isName || c != '.') {
			quote = true
		}
	}
	if !quote || isName && bytes.Contains(word, []byte("=?")) {
		return append(dst, word...)
	}
	dst = append(dst, '"')
	for _, c := range word {
		if c == '"' || c == '\\' || c == '\'' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

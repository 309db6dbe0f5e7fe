package imap

import "strings"

// pattern is a LIST pattern (RFC 3501 §6.3.8): "*" stands for anything, "%" for
// anything without a hierarchy separator. It is UTF-8; a reference has been put before it.
type pattern string

// newPattern joins the reference and the pattern as sent. A pattern that begins with "/" or "~" is absolute
// (RFC 3501 §6.3.8; Dovecot's src/lib-storage/list/mailbox-list-fs.c, fs_list_join_refpattern). ok is false for what
// is not a name, but for its wildcards: it matches none.
func newPattern(reference, raw []byte, utf8 bool) (p pattern, ok bool) {
	if len(raw) > 0 && (raw[0] == '/' || raw[0] == '~') {
		reference = nil
	}
	s, err := decodeName(append(append([]byte(nil), reference...), raw...), utf8)
	if err != nil {
		return "", false
	}
	return pattern(s), true
}

// match reports whether a name matches. INBOX matches in any case, also at the beginning of a name below it. The time is
// proportional to len(p) * len(name) at worst.
func (p pattern) match(name string, sep byte) bool {
	fold := 0
	if rest, ok := strings.CutPrefix(name, "INBOX"); ok && (rest == "" || rest[0] == sep) {
		fold = len("INBOX")
	}
	return p.matchFold(name, sep, fold)
}

// matchFold is match with the number of bytes at the name's beginning that match in any case.
func (p pattern) matchFold(name string, sep byte, fold int) bool {
	// reach[i]: the pattern so far matches name[:i].
	var space [256]bool
	reach := space[:]
	if len(name) >= len(reach) {
		reach = make([]bool, len(name)+1)
	}
	reach = reach[:len(name)+1]
	reach[0] = true
	for i := 0; i < len(p); i++ {
		any := false
		switch c := p[i]; c {
		case '*', '%':
			for j := range reach {
				if j > 0 && reach[j-1] && (c == '*' || name[j-1] != sep) {
					reach[j] = true
				}
				any = any || reach[j]
			}
		default:
			for j := len(name); j > 0; j-- {
				reach[j] = reach[j-1] && (name[j-1] == c || j <= fold && name[j-1]|0x20 == c|0x20)
				any = any || reach[j]
			}
			reach[0] = false
		}
		if !any {
			return false
		}
	}
	return reach[len(name)]
}

// prefix returns the literal beginning of the pattern.
func (p pattern) prefix() string {
	for i := 0; i < len(p); i++ {
		if p[i] == '*' || p[i] == '%' {
			return string(p[:i])
		}
	}
	return string(p)
}

// Package wildcard matches names against masks as Dovecot does in its quota rules and global access control lists.
package wildcard

import "strings"

// Match reports whether a name matches a mask, in which * stands for any characters and ? for one byte. (dovecot
// src/lib/wildcard-match.c)
func Match(mask, name string) bool {
	star, retry := -1, 0
	m := 0
	for n := 0; n < len(name); {
		switch {
		case m < len(mask) && mask[m] == '*':
			star, retry = m, n
			m++
		case m < len(mask) && (mask[m] == '?' || mask[m] == name[n]):
			m++
			n++
		case star >= 0:
			retry++
			m, n = star+1, retry
		default:
			return false
		}
	}
	return strings.Trim(mask[m:], "*") == ""
}

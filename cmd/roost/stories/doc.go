// Package stories plays the conformance stories of testdata/imap/stories on the built roost and on the real Dovecot, and writes from
// them the lists of what is covered and of what differs: docs/imap-coverage.md and docs/imap-differences.md.
package stories

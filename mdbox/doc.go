// Package mdbox reads mailstores in Dovecot's mdbox format.
//
// It stands alone: it imports nothing else of roost.
package mdbox

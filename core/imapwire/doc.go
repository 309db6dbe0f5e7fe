// Package imapwire turns bytes into IMAP tokens and back. It knows no command.
//
// Input: a Framer cuts a connection's bytes into complete commands, literals
// included; a Decoder reads the tokens of one complete command:
//
//	a1 LOGIN {3}CRLFabc "pass word"CRLF
//	^tag  ^atom ^literal, inline   ^quoted
//
// A Decoder has a sticky error: after the first failure every method returns a
// zero value and consumes nothing, so that a command reads its whole grammar and
// looks at Err once. The error says what was expected and at which byte, counted
// from 1 at the first byte of the tag; it is fit for a BAD response.
//
// Results that are []byte point into the command's bytes where they can (every
// token but a quoted string with escapes), and are as short-lived as these.
//
// Output: Append functions add one token to a []byte and allocate nothing
// themselves. They are told what to write, and choose the form (atom, quoted
// string or literal) by the content.
//
// The grammar is that of RFC 3501 §9; where Dovecot's parser accepts more, and
// clients are known to send it, this one does too, and says so.
package imapwire

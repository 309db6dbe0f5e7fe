// Package message understands the text of mail: header fields, addresses, MIME
// parts, and what IMAP makes of them (ENVELOPE, BODYSTRUCTURE, sections, search).
//
// It works on a message, or a header block, that is complete in memory, with CRLF at
// the end of lines, and copies as little as it can: parts and sections are ranges of that memory. Nothing in
// here fails or panics, whatever the input: mail that breaks every rule still has an ENVELOPE. Work is linear
// in the size of the input, and what is built is bounded by Limits.
//
// Dovecot is the judge. Where the standards leave room, and also where mail breaks them,
// results equal those of Dovecot's IMAP server byte for byte, for two reasons: its index cache
// holds BODYSTRUCTUREs that it made, which are sent beside ours; and a client that cached an answer of one server
// must not see another from the other. The tests ask a real Dovecot, with handwritten and with random messages.
//
//	header.go       fields of a header block, filters over them
//	lexer.go        tokens of structured fields (RFC 5322 §3.2, RFC 2045 §5.1)
//	address.go      address lists (RFC 5322 §3.4)
//	envelope.go     ENVELOPE (RFC 3501 §7.4.2)
//	part.go         the part tree (RFC 2046 §5)
//	params.go       parameters (RFC 2045 §5.1, RFC 2231)
//	content.go      Content-* fields
//	structure.go    BODY and BODYSTRUCTURE (RFC 3501 §7.4.2)
//	cached.go       BODY from a BODYSTRUCTURE that is in a cache
//	stored.go       the part tree of a message as it is stored, with LF line ends
//	plain.go        whether a BODYSTRUCTURE is the simplest one
//	snippet.go      the start of the text (RFC 8970), of HTML made by html.go
//	section.go      BODY[…] (RFC 3501 §6.4.5)
//	date.go         Date fields (RFC 5322 §3.3)
//	search.go       what SEARCH compares (RFC 3501 §6.4.4), made by words.go (RFC 2047),
//	                transfer.go (RFC 2045 §6), charset.go, fold.go (RFC 5051), addresstext.go
//	basesubject.go  what SORT and THREAD compare of subjects (RFC 5256 §2.1), sortkey.go of addresses (RFC 5256 §3, RFC 5957),
//	                messageid.go of message IDs (RFC 5256 §3)
//
// Where Dovecot is known to differ on purpose of ours: a header that is cut off by a boundary ends there
// (Dovecot's HEADER.FIELDS of such a part reads on into the boundary); text in a charset that is not known is
// searched without regard to case (Dovecot compares it as it is); dates before 1970 are earlier than those after (RFC 5256 §2.2; Dovecot's cache
// has them without sign); letters such as U+01C6 are decomposed as RFC 5051 §2 says (Dovecot leaves those that have a title case of their own);
// a partial section is
// the part of the section that was asked for (Dovecot is off by a byte or more if bare CRs or filtered headers are in it).
package message

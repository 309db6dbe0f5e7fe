// Package traffic lets many clients of several IMAP servers work on the mail of one user at the same time, and tells afterwards
// whether anything got lost: the judge of servers that share a mailstore.
//
//	Run      random APPEND, STORE, COPY, MOVE, EXPUNGE, FETCH, CREATE and RENAME
//	Ledger   what was acknowledged: messages that must still be there, and the exact state of mailboxes that one client had for itself
//	List     everything that a server shows of a user's mail
//	Compare  two of those
//
// Every message has a token and the hash of its body in its header. Those whose token begins with "keep-" are never
// marked \Deleted by anybody, so that each of them that was acknowledged must be somewhere in the end. Those with the keyword
// $Vol may be expunged by anybody at any time.
package traffic

// Package checker drives random commands on several connections of one mailbox, and fails on any answer that contradicts what the server
// has said before: the judge of the protocol, as package traffic is the judge of the mailstore.
//
// Each connection has a model of the mailbox, made of untagged responses only: sequence number ↔ UID, flags, modseqs,
// EXISTS, RECENT, UIDNEXT and HIGHESTMODSEQ. What the client itself has asked for with .SILENT, it works out.
//
//	model.go    the model, and what contradicts it at once
//	status.go   response codes, and the answer to SELECT
//	outcome.go  what the answer to a command must have had when it is complete
//	search.go   what a search has to find
//	client.go   random commands
//	run.go      connections at work, and compared when they are at rest
//
// What is wrong at once: EXPUNGE where RFC 3501 §7.4.1 forbids it, EXISTS that shrinks, a number out of range, a UID that is not where it was, a
// modseq that goes back, other flags under the same modseq, VANISHED of what was never there, a search that finds what the model
// does not, tagged answers out of order, an answer without what it must have.
//
// Connections come to rest again and again: after NOOP, all must know the same, a FETCH of everything must tell nothing new, and who
// was away and came back with QRESYNC must have been told what there is.
package checker

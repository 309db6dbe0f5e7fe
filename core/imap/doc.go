// Package imap is the IMAP server's side of the protocol: IMAP4rev1 (RFC 3501),
// on sessions of core/session, which calls it, and mailboxes of core/mailbox, which it calls.
//
// One file per command holds its grammar, what it does and what it answers. The
// table of commands is commands.go.
//
// # A session
//
// All that is kept of a session between two commands is session.State, 48 bytes
// without pointers: the state of RFC 3501 §3, ENABLE bits, the interned user,
// the mailbox (an id of mailbox.Registry) and the version of it that the client
// knows. What is rare (a tag longer than the record has room for, a
// user name in the middle of AUTHENTICATE LOGIN, a saved search result, searches that are kept up to date) goes to an extra.
//
// # A command
//
// Quick runs on the event loop and answers what needs neither plugin nor waiting.
// NOOP is among these when the kernel vouches that the mailbox has not changed (mailbox.Registry.UpToDate), whether that sleeps or not.
// Everything else is Run on a worker:
//
//	parse tag and name ▸ check the state ▸ pin the view ▸ command.run ▸ untagged updates ▸ tagged response
//
// A command that changes mail is one call of backend.Writer, made through mailbox.Mailbox.Change if it changes the
// selected mailbox: the answer tells what happened there, and nobody has to ask. Where storage
// can only read, these commands are refused by request.permit, as those that change the selected
// mailbox are after EXAMINE.
//
// A run function returns an error and writes untagged data only; the tagged
// response is made from the error, in one place (finish): nil is OK, a
// *imapwire.SyntaxError is BAD, a *response is what it says, and a
// *backend.Error is NO with the response code of its kind (errorCodes).
//
// # A message that is appended
//
// The literals of APPEND are bodies (session.LiteralSpool). Literal checks a command as far as it has come before
// each of them: its grammar, the mailbox's name, and (on a worker, for a large one) that the mailbox exists. The session engine keeps a
// small body in the command and writes a large one to a file as it comes, however long the client takes. When
// the command is complete, one call of backend.Writer reads all of them.
//
// # Untagged updates
//
// A session stands at a version of its mailbox; its sequence numbers are those
// of that version until it has been told otherwise. Updates are sent only by
// request.sync, which writes what leads from that version to the newest one and moves the
// session there. FETCH, STORE and SEARCH go only as far as possible without
// EXPUNGE (RFC 3501 §7.4.1); their UID forms may send it. The lines of one step are made once
// and shared by all sessions (mailbox.Mailbox.Memo), but for the RECENT response, and but for messages that are \Recent for one of
// them (recent.go).
//
// What a command itself did to flags takes the same way: it is a step of the journal like any other. The
// session that did it is told as its command says (ownChange): always after STORE, after .SILENT only
// if somebody else had a hand in it; everybody else is told as ever.
//
// NOTIFY says otherwise what a session is told, and when: of its mailbox at any time, or not at all; and of other mailboxes (notify.go).
//
// A client with QRESYNC (RFC 7162) gets the same updates with VANISHED, and HIGHESTMODSEQ where nothing else tells how far it has come
// (condstore.go: highest). What was expunged while it was away is asked of storage, when it selects the mailbox (qresync.go).
//
// A session whose history is gone, or whose mailbox was replaced or deleted,
// gets BYE: there is no other way to say that its sequence numbers are void.
package imap

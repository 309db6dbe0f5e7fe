package mdbox

import "errors"

// Errors that a caller branches on. What is damaged is a *vfs.CorruptError, with file, offset and rule.
var (
	// ErrNotFound: there is no mailbox with the name, or it is only a parent of others.
	ErrNotFound = errors.New("mdbox: no such mailbox")
	// ErrNotInitialised: the mailbox's directory is there, but its index is not complete yet. The
	// process that is creating the mailbox, or the next Dovecot process that opens it, completes it.
	ErrNotInitialised = errors.New("mdbox: mailbox is not initialised yet")
	// ErrExpunged: the message is no longer in the mailbox.
	ErrExpunged = errors.New("mdbox: message was expunged")
	// ErrHistoryGone: what happened since a position can no longer be told.
	ErrHistoryGone = errors.New("mdbox: history of the mailbox does not reach back so far")
	// ErrReadOnly: the store was opened without Options.Write.
	ErrReadOnly = errors.New("mdbox: store may not be changed")
	// ErrExists: there is a mailbox, or a parent of mailboxes, with the name.
	ErrExists = errors.New("mdbox: mailbox exists")
	// ErrRebuilt: somebody has rebuilt the store while messages were written. It may be tried again.
	ErrRebuilt = errors.New("mdbox: store was rebuilt meanwhile")
	// ErrHasChildren: a name that is only a parent of others can not be deleted.
	ErrHasChildren = errors.New("mdbox: mailbox has children")
	// ErrPermissionsConflict: a mailbox can not be moved below one whose directory has other permissions.
	ErrPermissionsConflict = errors.New("mdbox: directories have different permissions")
)

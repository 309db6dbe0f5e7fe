package mailbox

import "errors"

// Errors after which a session can not go on with its mailbox. It must end
// with BYE: RFC 3501 has no other way to say that sequence numbers are void.
var (
	// ErrHistoryGone: the journal does not reach back to the session's version.
	ErrHistoryGone = errors.New("mailbox: history of this session is gone ([limits] mailbox_journal)")
	// ErrReplaced: the mailbox was recreated with another UIDVALIDITY or id.
	ErrReplaced = errors.New("mailbox: was replaced by another one")
	// ErrDeleted: the mailbox does not exist any more.
	ErrDeleted = errors.New("mailbox: was deleted")
)

package backend

import "context"

// ACL is implemented by storage that has access control lists (RFC 4314; capability CapACL). It refuses every other call for which its user has not the
// right himself: with KindNoPermission, or KindNotFound if the user may not even know of the mailbox. Rights that only concern some of
// the flags of Append, Copy and Store make that the others are changed; Store fails if none is left. ListMailboxes leaves out what the user may not know.
type ACL interface {
	// MyRights returns one element per name, in order: the rights that the user has. A mailbox need not exist.
	MyRights(ctx context.Context, u *User, namespace string, names []string) ([]MailboxRights, error)

	// GetACL returns the list of a mailbox. Kinds: KindNoPermission without RightAdmin.
	GetACL(ctx context.Context, m MailboxRef) ([]ACLEntry, error)

	// SetACL changes the rights of an identifier. Kinds: those of Writer; KindInvalidArgument for an identifier that is not allowed.
	SetACL(ctx context.Context, m MailboxRef, change ACLChange) error

	// DeleteACL removes what is said of an identifier: the rights that are given to it, or with negative those that are taken from it. There may be
	// nothing to remove.
	DeleteACL(ctx context.Context, m MailboxRef, identifier string, negative bool) error
}

// Rights is a set of rights (RFC 4314 §2.1).
type Rights uint16

// Rights, in the order in which they are told.
const (
	RightLookup       Rights = 1 << iota // l
	RightRead                            // r
	RightWrite                           // w
	RightWriteSeen                       // s
	RightWriteDeleted                    // t
	RightInsert                          // i
	RightPost                            // p
	RightExpunge                         // e
	RightCreate                          // k
	RightDelete                          // x
	RightAdmin                           // a

	AllRights Rights = 1<<iota - 1
)

// MailboxRights is the answer of MyRights for one mailbox.
type MailboxRights struct {
	Err    *Error // nil, or why the rights are not known: there are none then
	Rights Rights
}

// ACLEntry is what a list says of one identifier.
type ACLEntry struct {
	Identifier string // RFC 4314 §3, without "-"
	Negative   bool   // the rights are taken away
	Rights     Rights
}

// ACLChange is a change of the rights of an identifier.
type ACLChange struct {
	ACLEntry
	Mode StoreMode // StoreReplace, StoreAdd, StoreRemove
}

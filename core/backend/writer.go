package backend

import (
	"context"
	"io"
	"math"
)

// Writer is implemented by storage that can change mail (capability CapWrite).
//
// A call that returns nil has done all of what it was asked for, durably as the storage's
// settings promise, and visible to every later call of anybody. One that fails has done
// nothing, unless its comment says otherwise. Kinds that every call may return: KindNotFound (no such mailbox, or
// another one has its name now: see MailboxID), KindReadOnly, KindNoPermission,
// KindOverQuota (also a full disk), KindInUse (a lock could not be had in time), KindCorrupted, KindUnavailable.
//
// Whoever keeps a view of the changed mailbox passes its position (Since), and gets
// what happened since then, including what the call did (Changed): one call per command is enough.
type Writer interface {
	// Append saves messages in one mailbox, in their order with ascending UIDs: all of
	// them or none (RFC 3502). Bodies are read one after the other, each exactly to its Size; an error of
	// one, and the end of ctx before all were read, leaves nothing behind. More kinds: KindLimit, KindInvalidArgument.
	Append(ctx context.Context, r *AppendRequest) (*AppendResult, error)

	// Store changes flags and keywords. UIDs that do not exist are ignored.
	Store(ctx context.Context, r *StoreRequest) (*StoreResult, error)

	// Copy puts copies of messages into another mailbox, all of them or none, in ascending order of their UIDs. With Move
	// it removes them from the source as well; a failure after the copies were made may leave both (RFC 6851 §4.4), never neither. UIDs
	// that do not exist are ignored. A KindNotFound for the destination has Message "destination".
	Copy(ctx context.Context, r *CopyRequest) (*CopyResult, error)

	// Expunge removes messages. UIDs that do not exist are ignored.
	Expunge(ctx context.Context, r *ExpungeRequest) (*ExpungeResult, error)

	// ClaimRecent makes all messages that are \Recent for nobody yet those of the calling session (RFC 3501 §2.3.2): they are not
	// \Recent for anybody who asks later. A session that may change the mailbox calls it when its view has such messages
	// (FirstRecentUID < UIDNext). id is as StoreRequest.MailboxID, since as StoreRequest.Since.
	ClaimRecent(ctx context.Context, m MailboxRef, id [16]byte, since []byte) (*ClaimResult, error)

	// CreateMailbox makes a mailbox, and parents that it needs. Kinds: KindAlreadyExists, KindInvalidArgument (a name that
	// this storage can not have). A \NoSelect parent becomes a mailbox.
	CreateMailbox(ctx context.Context, m MailboxRef) error

	// DeleteMailbox removes a mailbox with all its messages; its children and its subscription stay. More kinds:
	// KindInvalidArgument (INBOX, or a \NoSelect parent with children).
	DeleteMailbox(ctx context.Context, m MailboxRef) error

	// RenameMailbox gives a mailbox, and all below it, another name in the same namespace, and makes
	// the parents that the new name needs. INBOX: its messages move to the new mailbox, INBOX is
	// empty then, its children stay (RFC 3501 §6.3.5). Kinds: KindAlreadyExists for the new name, KindInvalidArgument.
	RenameMailbox(ctx context.Context, m MailboxRef, newName string) error

	// Subscribe adds a name to the subscriptions, or removes it. The mailbox need not exist. It succeeds
	// if the name is in the wanted state already.
	Subscribe(ctx context.Context, m MailboxRef, subscribed bool) error
}

// AppendRequest asks for messages to be saved.
type AppendRequest struct {
	Mailbox  MailboxRef
	Messages []AppendMessage // at least one
	// Replaces is a message of the same mailbox that is gone with the append, as one step: whatever is killed when, there is
	// either that message or those that were appended. nil = none; only with CapReplace, and for one message. KindExpunged: it is gone already, and nothing
	// was appended.
	Replaces *ReplacedMessage
	Since    []byte // position of the caller's view of the mailbox; empty: Changed is not wanted
	// Claim asks, together with Since, to make what is \Recent for nobody after the append that of the calling session, as ClaimRecent does. Storage may
	// leave it undone, and then says so.
	Claim bool
}

// ReplacedMessage is a message that another one takes the place of (RFC 8508).
type ReplacedMessage struct {
	MailboxID [16]byte // as in StoreRequest
	UID       uint32
}

// AppendMessage is one message to save.
type AppendMessage struct {
	Flags        uint8    // Flag… bits
	Keywords     []string // names, without duplicates
	InternalDate int64    // UNIX time; 0 = now
	// Size is the number of bytes in Body, not 0. What the bytes are is up to the client: line ends are CRLF, or bare LF, which storage
	// takes for line ends too, and there may be NUL. Body is not used after Append has returned.
	Size uint64
	Body io.Reader
}

// AppendResult says where messages were saved.
type AppendResult struct {
	UIDValidity uint32
	UIDs        []uint32 // one for each message, ascending
	Changed     *Changes // since AppendRequest.Since, as in StoreResult
	// ClaimedFirst and ClaimedNext limit the UIDs that Claim has claimed: first <= UID < next. Equal: none.
	ClaimedFirst, ClaimedNext uint32
}

// StoreMode says what STORE does with flags.
type StoreMode uint8

// Store modes.
const (
	StoreReplace StoreMode = iota // all flags and keywords but \Recent become those given
	StoreAdd
	StoreRemove
)

// AnyModSeq is StoreRequest.UnchangedSince without condition.
const AnyModSeq uint64 = math.MaxUint64

// StoreRequest asks for flags to be changed.
type StoreRequest struct {
	Mailbox   MailboxRef
	MailboxID [16]byte // that of the view the UIDs are from; zero: whatever has the name
	UIDs      []uint32 // ascending, without duplicates
	Mode      StoreMode
	Flags     uint8
	Keywords  []string
	// UnchangedSince: messages whose modseq is above it are left alone and
	// listed in StoreResult.Modified (RFC 7162 §3.1.3); AnyModSeq = all are changed. The test and the change are one step.
	UnchangedSince uint64
	Since          []byte // position of the caller's view; empty: Changed is not wanted
}

// StoreResult is the answer to Store.
type StoreResult struct {
	Modified []uint32 // UIDs that UnchangedSince protected, ascending
	Changed  *Changes // since StoreRequest.Since; nil if not asked for or not available, which asks Changes for it
}

// CopyRequest asks for messages to be copied or moved.
type CopyRequest struct {
	Mailbox   MailboxRef // of the source
	MailboxID [16]byte   // as in StoreRequest
	UIDs      []uint32   // ascending, without duplicates
	// Destination may be in another namespace, and may be the source itself. Its user is that of the source.
	Destination MailboxRef
	Move        bool
	Since       []byte // position of the caller's view of the source
}

// CopyResult says what was copied.
type CopyResult struct {
	UIDValidity uint32   // of the destination
	Source      []uint32 // UIDs that were copied, ascending
	UIDs        []uint32 // their new UIDs, as many, ascending
	Changed     *Changes // of the source, as in StoreResult
}

// ClaimResult is the answer to ClaimRecent.
type ClaimResult struct {
	// First and Next limit the UIDs that were claimed: First <= UID < Next. Equal: somebody else was faster.
	First, Next uint32
	Changed     *Changes // as in StoreResult
}

// ExpungeRequest asks for messages to be removed.
type ExpungeRequest struct {
	Mailbox   MailboxRef
	MailboxID [16]byte // as in StoreRequest
	// UIDs are the candidates, ascending, without duplicates; of them only those that have \Deleted at the moment of the
	// expunge are removed, if OnlyDeleted is set.
	UIDs        []uint32
	OnlyDeleted bool
	Since       []byte
}

// ExpungeResult is the answer to Expunge.
type ExpungeResult struct {
	Expunged []uint32 // UIDs that this call removed, ascending
	Changed  *Changes // as in StoreResult
}

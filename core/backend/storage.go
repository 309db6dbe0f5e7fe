package backend

import (
	"context"
	"fmt"
	"os"

	"github.com/emersion/go-imap/v2"
)

// Storage is the storage plugin kind.
//
// Mailboxes are named by the user, the namespace and the name below the
// namespace's prefix: UTF-8, levels separated by '/', INBOX in capitals. The
// namespace's own separator and prefix are core's business. Calls carry all
// they need: a plugin may keep mailboxes open as a cache, but a restart of it
// loses nothing.
type Storage interface {
	Plugin

	// ListMailboxes returns every mailbox and parent of the namespace, and
	// every subscribed name, sorted by name. It includes names that are only
	// subscribed (NonExistent).
	ListMailboxes(ctx context.Context, u *User, namespace string) ([]MailboxInfo, error)

	// Status returns one element per name, in order. A mailbox that can not be
	// read has its Err set; the call fails only as a whole.
	Status(ctx context.Context, u *User, namespace string, names []string, items StatusItems) ([]MailboxStatus, error)

	// Open returns the whole current state of a mailbox. Kinds: KindNotFound
	// (also for a \NoSelect parent), KindCorrupted.
	Open(ctx context.Context, m MailboxRef) (*Snapshot, error)

	// Changes returns what changed since the position of an earlier Open or
	// Changes answer, from the same or an earlier process of this plugin. If
	// the history since then is gone, or the mailbox was recreated, the answer
	// has Reset set and nothing else. No change: Position equals since.
	Changes(ctx context.Context, m MailboxRef, since []byte) (*Changes, error)

	// Fetch sends the data of the messages with the given UIDs to sink, in
	// ascending UID order. UIDs that do not exist are left out. A message that
	// can not be read is sent with its Err set; the others follow. An error of
	// sink ends Fetch, which returns it.
	Fetch(ctx context.Context, r *FetchRequest, sink FetchSink) error
}

// Watcher is implemented by storage whose mailboxes can be watched through an
// inotify instance (capability CapWatchFD). The kernel queues an event before
// the write that caused it returns, so whoever reads the descriptor knows at
// any moment, without asking the plugin, that a mailbox has not changed.
type Watcher interface {
	// WatchFile returns a descriptor of the plugin's inotify instance, to which Open adds
	// a watch for the mailbox (Snapshot.Watch). The caller reads and closes
	// it; the plugin never reads. It is valid until the plugin ends.
	WatchFile(ctx context.Context) (*os.File, error)
	// Unwatch removes watches that the caller no longer needs. Unknown ids are ignored.
	Unwatch(ctx context.Context, watches []int32) error
}

// MailboxRef names a mailbox.
type MailboxRef struct {
	User      *User
	Namespace string
	Name      string
}

// MailboxInfo is one name of a listing.
type MailboxInfo struct {
	Name        string
	NoSelect    bool // exists only as a parent
	NonExistent bool // only subscribed
	NoInferiors bool
	Subscribed  bool
	// SpecialUse are attributes of RFC 6154 that the user has given the mailbox, separated by spaces, as in the annotation
	// /private/specialuse; "" = none. They take the place of those of the configuration.
	SpecialUse string
}

// Capabilities of storage that are no interface of their own, but say what its answers are good for, or add to them.
const (
	// CapSaveDate: storage knows when messages came into their mailboxes (FetchSaveDate), of most at least.
	CapSaveDate = "save-date"
	// CapPreview: storage keeps previews of messages, or lets core make them (FetchPreview, FetchPreviewCached).
	CapPreview = "preview"
	// CapObjectID: the ids of mailboxes and the GUIDs of messages are what RFC 8474 asks for: never used again for another one;
	// that of a mailbox stays when it is renamed, and that of a message when it is copied.
	CapObjectID = "object-id"
	// CapStatusDeleted: storage counts messages with \Deleted (StatusDeleted).
	CapStatusDeleted = "status-deleted"
	// CapReplace: Writer.Append knows AppendRequest.Replaces.
	CapReplace = "replace"
)

// StatusItems says which values of MailboxStatus are wanted.
type StatusItems uint16

// Status items. StatusMessages, StatusUIDNext and StatusUIDValidity cost no more than opening.
const (
	StatusMessages StatusItems = 1 << iota
	StatusRecent
	StatusUnseen
	StatusUIDNext
	StatusUIDValidity
	StatusHighestModSeq
	StatusSize // sum of RFC822.SIZE
	StatusMailboxID
	// StatusWatch asks for MailboxStatus.Watches. Only a Watcher is asked for it.
	StatusWatch
	StatusDeleted // messages with \Deleted; asked for only with CapStatusDeleted
	// StatusDeletedSize asks for the sum of the RFC822.SIZE of messages with \Deleted. Only a Quota is asked for it.
	StatusDeletedSize
)

// MailboxStatus holds STATUS values; those not asked for may be zero.
type MailboxStatus struct {
	Name          string
	Err           *Error // nil, or why this mailbox has no values
	Messages      uint32
	Recent        uint32
	Unseen        uint32
	UIDNext       imap.UID
	UIDValidity   uint32
	HighestModSeq uint64
	Size          uint64
	MailboxID     [16]byte
	Deleted       uint32
	DeletedSize   uint64
	// Watches tell, together, when these values may be others, or the name may be
	// that of another mailbox or of none; empty: nothing tells. Each was added before the values were
	// read, counts as one of Open's does, and is given back with Unwatch.
	Watches []Watch
}

// MaxMoreWatches is how many watches a mailbox may have beside the first.
const MaxMoreWatches = 8

// Watch is a watch on a directory in a Watcher's inotify instance. Only events for names in
// it that start with Name, or for the directory itself, mean a change.
type Watch struct {
	ID   int32 // not 0
	Name string
}

// System flags, one bit each, as in Columns.Flags (and in Dovecot's index records).
const (
	FlagAnswered uint8 = 0x01
	FlagFlagged  uint8 = 0x02
	FlagDeleted  uint8 = 0x04
	FlagSeen     uint8 = 0x08
	FlagDraft    uint8 = 0x10
)

// Columns holds messages column by column, ascending by UID. All slices have
// the same length, but Keywords (KeywordWords elements per message), LowKeywords and ModSeqs
// (may be nil: every message has the mailbox's HighestModSeq).
type Columns struct {
	UIDs  []uint32
	Flags []uint8
	// Keywords: message i has the words [i*KeywordWords, (i+1)*KeywordWords);
	// bit k%64 of word k/64 stands for keyword name k.
	Keywords     []uint64
	KeywordWords int
	// LowKeywords, if not nil, stands for Keywords, which is nil then, and KeywordWords is 1: the low byte of each message's word, whose other bytes are 0.
	LowKeywords []uint8
	ModSeqs     []uint64
}

// HasKeyword reports whether message i has keyword number k.
func (c *Columns) HasKeyword(i, k int) bool {
	if c.LowKeywords != nil {
		return k < 8 && c.LowKeywords[i]>>k&1 != 0
	}
	return k < 64*c.KeywordWords && c.Keywords[i*c.KeywordWords+k/64]>>(k%64)&1 != 0
}

// CheckLengths returns an error that says so if the columns do not have as many elements as they should.
func (c *Columns) CheckLengths() error {
	n, keywords := len(c.UIDs), len(c.Keywords) == len(c.UIDs)*c.KeywordWords
	if c.LowKeywords != nil {
		keywords = len(c.LowKeywords) == n && c.KeywordWords == 1 && c.Keywords == nil
	}
	if len(c.Flags) != n || c.KeywordWords < 0 || !keywords || c.ModSeqs != nil && len(c.ModSeqs) != n {
		return fmt.Errorf("columns of unequal length: %d UIDs, %d flags, %d keyword words of %d per message, %d low keywords, %d modseqs",
			n, len(c.Flags), len(c.Keywords), c.KeywordWords, len(c.LowKeywords), len(c.ModSeqs))
	}
	return nil
}

// Snapshot is the whole state of a mailbox at one moment.
type Snapshot struct {
	MailboxID      [16]byte // GUID; never changes, also not by rename
	UIDValidity    uint32   // not 0
	UIDNext        imap.UID
	FirstRecentUID imap.UID // messages from here on are \Recent
	HighestModSeq  uint64   // >= 1
	Keywords       []string // names, by keyword number; only ever appended to
	Messages       Columns
	// Position is where this state stands in the mailbox's history; opaque to core, at most 64 bytes.
	Position []byte
	// Watch is the watch id of this mailbox in the Watcher's inotify instance, 0 = none:
	// core then asks Changes instead. The watch is on a directory; only events for
	// names that start with WatchName (or for the directory itself) mean a change.
	Watch     int32
	WatchName string
	// MoreWatches are watches on other directories that mean a change of the mailbox as well, at most MaxMoreWatches; none without Watch.
	MoreWatches []Watch
	// Damage lists what was found damaged and left out, for the log.
	Damage []string
}

// Changes is the difference between two positions of a mailbox.
type Changes struct {
	Reset *Snapshot // history lost: take this instead; all other fields are unset

	UIDNext        imap.UID
	FirstRecentUID imap.UID
	HighestModSeq  uint64
	Keywords       []string // all names
	Expunged       []uint32 // UIDs, ascending
	Updated        Columns  // messages that existed before, with their current values
	Appended       Columns
	Position       []byte
}

// FetchItems says which parts of FetchedMessage are wanted.
type FetchItems uint16

// Fetch items.
const (
	FetchSize          FetchItems = 1 << iota // RFC822.SIZE
	FetchInternalDate                         // INTERNALDATE
	FetchSaveDate                             // RFC 8514
	FetchGUID                                 // of the mail, as printed
	FetchBodyStructure                        // BODYSTRUCTURE from a cache, else the body (see FetchedMessage)
	FetchHeader                               // the whole header block
	FetchBody                                 // the whole message, or the range of FetchRequest
	FetchPreview                              // RFC 8970, from a cache, else the body (see FetchedMessage); with CapPreview only
	FetchPreviewCached                        // RFC 8970, if it is in a cache; with CapPreview only
)

// FetchRequest asks for data of messages of one mailbox.
type FetchRequest struct {
	Mailbox MailboxRef
	// MailboxID is that of the Snapshot which the UIDs are from. If the name is now that of
	// another mailbox, Fetch sends nothing and returns KindNotFound. Zero: whatever has the name.
	MailboxID [16]byte
	UIDs      []uint32 // ascending, without duplicates
	Items     FetchItems
	// HeaderFields names header fields that are wanted, in any case; nil = none.
	// Ignored when FetchHeader or FetchBody without range is asked for.
	HeaderFields []string
	// Offset and Length limit FetchBody to a range of the message's bytes; Length 0 = to the end.
	Offset, Length uint64
}

// FetchSink receives the answer to Fetch. Its methods are called by one goroutine.
type FetchSink interface {
	// Message starts the next message. m and all it refers to are valid only
	// until Message returns.
	Message(m *FetchedMessage) error
	// Body is called after Message, with consecutive pieces of the message
	// until BodySize bytes were sent. p is valid only until Body returns.
	Body(p []byte) error
}

// VolatileSink is a FetchSink that takes bodies from where they came to: memory that another process may change at any time. A sink
// that is none gets copies.
type VolatileSink interface {
	FetchSink
	// VolatileBody is Body, with a p that may be something else each time it is looked at.
	VolatileBody(p []byte) error
}

// RoomySink is a FetchSink with room for bodies. What is put there is not copied again.
type RoomySink interface {
	FetchSink
	// Room returns n bytes of room for what Body gets next, nil if there are not as many. m is the message that is sent before it: Message gets it next, as it is
	// but for BodySize, or one with an Err. Nil: the body of the last message goes on.
	Room(m *FetchedMessage, n int) []byte
}

// FetchedMessage is the answer for one message. All text has CRLF line ends,
// and sizes are those of the CRLF form.
type FetchedMessage struct {
	UID          uint32
	Err          *Error // set: nothing else is, and no Body follows
	Size         uint64
	InternalDate int64 // UNIX time
	SaveDate     int64
	GUID         string
	// HeaderFields are the wanted header fields in the order of the message,
	// "Name: value CRLF" with their folding, without the empty line at the end.
	HeaderFields []byte
	// BodyStructure is the text of BODYSTRUCTURE without its outer parentheses
	// (RFC 3501 §7.4.2), from a cache. Empty although it was asked for: the
	// whole message follows as body, for core to parse.
	BodyStructure []byte
	// Preview is the text of PREVIEW (RFC 8970 §3.1) in UTF-8, from a cache. Nil: it is not known. If FetchPreview asked
	// for it, the whole message follows then. Empty, but not nil: there is no text.
	Preview []byte
	// BodySize is the number of bytes that follow through Body: the header
	// block with its empty line (FetchHeader), or the message or range.
	BodySize uint64
	// BodyIsMessage: what follows is the whole message from its first byte,
	// whatever was asked for.
	BodyIsMessage bool
}

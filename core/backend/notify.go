package backend

import (
	"context"
	"time"

	"github.com/emersion/go-imap/v2"
)

// Notify is the notify plugin kind: it carries the news that mailboxes have changed to other servers, and to whoever else wants to know.
//
// What is told is state and not history: being told twice is harmless, and of two changes of one mailbox the later one
// replaces the earlier.
type Notify interface {
	Plugin
	// Publish takes over changes of this server; b is not kept by the plugin. Core makes one call at a time, and no session waits for it. After
	// KindInvalidArgument, KindNotFound, KindNoPermission and KindUnsupported the batch is dropped; after any other error its changes are
	// sent again later, with what has happened since.
	Publish(ctx context.Context, b *ChangeBatch) error
}

// Listener is implemented by notify plugins that hear of changes on other servers (capability CapListen).
type Listener interface {
	// Listen calls hear, from one goroutine, with what other servers have changed, until ctx ends or hear fails. It returns
	// that error, or why it can not go on: core then takes every open mailbox for changed, and calls it again after a pause.
	//
	// With CapListenGapless it also says when it has begun (Heard.Begun), and ends with nil when r.Until asks for that.
	Listen(ctx context.Context, r ListenRequest, hear func(*Heard) error) error
}

// CapListen: notify implements Listener.
const CapListen = "listen"

// CapListenGapless: a Listener says from when on it misses nothing, and can be asked to end without missing anything: so one process can take
// the place of another, and no mailbox has to be looked at for it. Only with CapListen.
const CapListenGapless = "listen-gapless"

// MaxChanges is the most changes of a ChangeBatch and of a Heard.
const MaxChanges = 1000

// ChangeBatch is what Publish hands over.
type ChangeBatch struct {
	Changes []MailboxChange // at least one
	// Dropped is of how many mailboxes changes were dropped since the batch before, because too many waited.
	Dropped uint64
}

// MailboxChange says that something has happened to a mailbox.
type MailboxChange struct {
	User       string // login name of the mailbox's user
	Namespace  string
	Mailbox    string // as in MailboxRef
	OldMailbox string // of ChangeRenamed: the name before. All below have moved with it
	Kinds      ChangeKinds
	State      *MailboxState // after the change; nil: not known, or the mailbox is gone
	Node       string        // the server where it happened
	Time       time.Time     // when it was noticed; milliseconds count
}

// MailboxState is how a mailbox was at one moment.
type MailboxState struct {
	MailboxID     [16]byte
	UIDValidity   uint32
	UIDNext       imap.UID
	HighestModSeq uint64
	Messages      uint32
}

// ChangeKinds says what has happened, one bit each; 0: something.
type ChangeKinds uint32

// What happens to mailboxes. Bit n stands for number n+1 of roost.notify.v1.ChangeKind; the list only grows.
const (
	ChangeAppended ChangeKinds = 1 << iota
	ChangeExpunged
	ChangeFlags // or keywords, or modseqs
	ChangeCreated
	ChangeDeleted
	ChangeRenamed
	ChangeSubscribed
	ChangeUnsubscribed
	ChangeMetadata
	ChangeRights
)

// changesOfNames are the kinds after which a listing of mailboxes may be another one.
const changesOfNames = ChangeCreated | ChangeDeleted | ChangeRenamed | ChangeSubscribed | ChangeUnsubscribed | ChangeRights

// OfNames reports whether names of mailboxes, or subscriptions, may have changed.
func (k ChangeKinds) OfNames() bool { return k&changesOfNames != 0 }

// ListenRequest says who listens.
type ListenRequest struct {
	Node string // name of this server: changes from there need not be told
	// Until is closed when another Listen has begun that will end later: on the process that takes the place of this one, for example. With
	// CapListenGapless Listen then calls hear with every change that happened before, also with those that it does not know of yet, and returns nil;
	// or an error, if it can not: then every open mailbox is taken for changed. Without it, it means nothing. nil: it never ends so.
	Until <-chan struct{}
}

// Heard is what has happened on other servers.
type Heard struct {
	Changes []MailboxChange // at most MaxChanges
	Lost    bool            // changes were lost, of whichever mailboxes
	// Begun, with CapListenGapless: every change that happens from now on is told, or followed by Lost. What happened before may have been missed. Once in
	// each Listen, as early as can be said; what can not be said for long is better an error of Listen.
	Begun bool
}

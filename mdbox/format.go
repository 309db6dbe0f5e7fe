package mdbox

import (
	"context"
	"io"

	"github.com/roostmail/roost/mdbox/dbox"
	"github.com/roostmail/roost/mdbox/index"
	"github.com/roostmail/roost/mdbox/maildir"
	"github.com/roostmail/roost/mdbox/translog"
)

// Format is a mail storage format of Dovecot: the driver in front of a mail_location.
type Format string

// The formats that a store can have.
const (
	FormatMdbox Format = "mdbox" // many messages in a file, which a map finds
	FormatSdbox Format = "sdbox" // a file u.<UID> for each message
	// FormatMaildir has a file for each message, with its flags in its name.
	FormatMaildir Format = "maildir"
)

// format is what sets a Format apart from the others. All have the same indexes, caches and mailbox trees; they differ in where a
// message is, and in what has to be done to it before and after the index of its mailbox says so.
type format interface {
	// mailboxGUID returns the GUID of a mailbox; zero: it is not known.
	mailboxGUID(b *Mailbox, s *index.State) ([16]byte, error)
	// refresh brings the index of a mailbox in line with its messages, if they can change without it. Mailbox.mu is held.
	refresh(b *Mailbox) error
	// lock takes the lock of a mailbox that comes before BOX; nil: the format has none. Mailbox.mu is held.
	lock(ctx context.Context, b *Mailbox) (*maildir.Locked, error)
	// firstHeader prepares the first transaction of a mailbox, whose directory below mailboxes/ is dir, before BOX is taken. It
	// returns the extension with the header that names the mailbox. header is called, when n.guid is set, if the mailbox is not found
	// to be complete, and may refuse to make it.
	firstHeader(ctx context.Context, s *Store, dir string, n *newMailbox) (ext string, header func() ([]byte, error), err error)

	// files returns the mail files that a mailbox has messages in.
	files(b *Mailbox) *dbox.Files
	// open opens the file of a message, and makes sure that it is that message's. Message.failed says what an error means.
	open(m *Message) (*dbox.Message, error)

	// change runs do under the locks that come before BOX.
	change(ctx context.Context, s *Store, do func(c change) error) error
	// newSaver begins to save messages in b.
	newSaver(ctx context.Context, b *Mailbox) saver
	// records returns what the index keeps of new messages, of which the first has the UID first, besides flags, keywords, sizes and cache.
	records(l *lockedBox, first uint32, messages []newRecord, saved uint32) []translog.NewRecord
	// copyWithin copies messages between two mailboxes of a store.
	copyWithin(ctx context.Context, b *Mailbox, r CopyRequest) (*Copied, error)
}

// change is a change of the messages of a store while the locks are held that come before BOX.
type change interface {
	// check refuses a mailbox that does not belong to what is locked.
	check(l *lockedBox) error
	// expunge carries out the expunge of messages, ascending by UID, which must include all that lockedBox.requested returns.
	// What they refer to is given up in the order that no crash leaves a message without it.
	expunge(l *lockedBox, uids []uint32) error
	// leave prepares the expunge of a message that another one takes the place of.
	leave(l *lockedBox, uid uint32) leaving
}

// leaving is a message that leaves a mailbox with the transaction in which another one comes.
type leaving struct {
	record translog.NewRecord       // of the transaction
	gone   translog.ExpungeGUIDs    // for the sum of sizes; empty: done counts it
	done   func(l *lockedBox) error // gives up what the message refers to, after the transaction
}

// placer gives messages their place in the store before they come into a mailbox, which is locked.
type placer interface {
	// place returns the UID of the first message; the others follow.
	place(c change, l *lockedBox, messages []newRecord) (first uint32, err error)
	// takeBack undoes place: the messages did not come into the mailbox, unless it has them all the same.
	takeBack(c change, l *lockedBox, messages []newRecord, first uint32)
}

// saver writes messages that are then placed together.
type saver interface {
	placer
	// save writes a message; sync makes all that were written durable.
	save(m dbox.NewMessage, body io.Reader) (dbox.Stored, error)
	sync() error
	// release ends the saving of messages that are placed. abort removes those that are not.
	release() error
	abort() error
}

// newFormat returns how a Format works.
func newFormat(f Format) format {
	switch f {
	case FormatSdbox:
		return sdbox{}
	case FormatMaildir:
		return maildirFormat{}
	}
	return mdbox{}
}

package pluginrpc

import "time"

// Sizes on the wire.
const (
	// MaxMessage is the largest message that either side accepts, in bytes:
	// gRPC's default, so that a plugin in another language needs no setting.
	MaxMessage = 4 << 20

	// frameBytes is how much payload a FetchResponse collects before it is sent, and
	// the size of the pooled buffers that hold it.
	frameBytes = 256 << 10
	// frameMessages bounds the columns of a FetchResponse, about 50 bytes a message.
	frameMessages = 4096
	// maxFrameItem bounds the text (GUID, header fields, body structure, preview) of one
	// message, which can not be spread over several responses.
	maxFrameItem = MaxMessage - 64<<10

	// maxBody is the largest message that anybody believes in, in bytes.
	maxBody = 1 << 40

	// columnBytes is about the size of a message with columns.
	columnBytes = 128 << 10
	// listBytes is about the size of a message with mailbox names.
	listBytes = 128 << 10

	// maxFetchUIDs is the most UIDs of one FetchRequest, and of each request of Store, Copy and Expunge.
	maxFetchUIDs = 250_000
	// maxAppendMessages is the most messages of one Append.
	maxAppendMessages = 250_000
	// maxAppendChanges is how many messages the changes in an AppendResponse may have.
	maxAppendChanges = 4096

	// appendBytes is about the size of an AppendRequest with messages, and
	// the size of the pieces of bodies and of the pooled buffers that hold them.
	appendBytes = 128 << 10

	// maxStatusNames and maxStatusBytes bound the names of one StatusRequest.
	maxStatusNames = 1000
	maxStatusBytes = 1 << 20
	// maxStatusWatches is the most watches of one MailboxStatus.
	maxStatusWatches = 256

	// maxErrorText bounds the message and the detail of an error, each, and the
	// elements of SnapshotHeader.damage; status details travel in an HTTP/2 header.
	maxErrorText = 4 << 10
	// maxDamage is the most elements of SnapshotHeader.damage.
	maxDamage = 100

	// MaxCandidates is the most mailboxes of one DecideRequest, about 50 bytes each.
	MaxCandidates = 50_000

	// answerItem is what a name or an annotation takes beside its bytes, about.
	answerItem = 64

	// maxPosition is the most bytes of a position.
	maxPosition = 64
)

// Limits bounds what one answer of a plugin may cost core. Zero means the default.
type Limits struct {
	// MaxMessages is the most messages of a mailbox (plugin_max_messages), default
	// 20,000,000. A message takes 13 bytes and 8 more per 64 keywords.
	MaxMessages int
	// MaxMailboxes is the most names of a listing (plugin_max_mailboxes), default 1,000,000.
	MaxMailboxes int
	// MaxAnswer is the most bytes of mailbox names or annotations in one answer (plugin_max_answer), each counted with answerItem more; default 256 MiB.
	MaxAnswer int
	// AnswerTimeout is how long the next message of an answer may take to come (plugin_answer_timeout), 0 = for ever.
	AnswerTimeout time.Duration
}

func (l Limits) withDefaults() Limits {
	if l.MaxMessages == 0 {
		l.MaxMessages = 20_000_000
	}
	if l.MaxMailboxes == 0 {
		l.MaxMailboxes = 1_000_000
	}
	if l.MaxAnswer == 0 {
		l.MaxAnswer = 256 << 20
	}
	return l
}

package backend

import "context"

// ModSeqs is implemented by storage whose messages have modseqs that outlive the process, and that knows when messages were
// expunged (capability CapModSeqs): what CONDSTORE and QRESYNC need (RFC 7162).
type ModSeqs interface {
	// EnableModSeqs makes the mailbox keep a modseq for each message from now on, if it does not: messages that are there get the
	// mailbox's HighestModSeq, which they were said to have before (Columns.ModSeqs nil). The answer, which may be nil, is
	// what happened since a position, as StoreResult.Changed. Kinds are those of Writer: KindReadOnly if nothing may be changed.
	EnableModSeqs(ctx context.Context, m MailboxRef, id [16]byte, since []byte) (*Changes, error)

	// Expunged tells what was expunged after a modseq. Kinds: those of Open; KindNotFound also if id, which may be
	// zero, is not that of the mailbox.
	Expunged(ctx context.Context, m MailboxRef, id [16]byte, modseq uint64) (*ExpungedResult, error)
}

// ExpungedResult is the answer to ModSeqs.Expunged.
type ExpungedResult struct {
	// Known: UIDs has all messages that were expunged with a modseq above that of the request. If not, the history does not reach
	// back so far, and UIDs is empty.
	Known bool
	// UIDs are ranges, ascending, that do not overlap. There may be UIDs in them that never belonged to a message, but none in use.
	UIDs []UIDRange
}

// UIDRange is a range of UIDs, both ends included.
type UIDRange struct{ First, Last uint32 }

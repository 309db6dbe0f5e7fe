package backend

import "context"

// Metadata is implemented by storage that keeps annotations of mailboxes and of the server (RFC 5464; capability
// CapMetadata).
//
// The mailbox with the empty name stands for the server, as in GETMETADATA: its annotations are those of the user's namespace that has
// INBOX. Names of entries begin with "/private/" or "/shared/"; they are ASCII in lower case, without "*", "%", "//", controls, and "/" at the end.
type Metadata interface {
	// GetMetadata returns one element per mailbox name, in order. A mailbox that can not be read has its Err set; the
	// call fails only as a whole.
	GetMetadata(ctx context.Context, u *User, namespace string, names []string, q MetadataQuery) ([]MailboxMetadata, error)

	// SetMetadata changes annotations of one mailbox: all that is asked for, or nothing. Kinds: those of Writer; KindLimit if the mailbox would
	// have too many annotations, or all of them together take too much room; KindInvalidArgument for an entry that
	// this storage does not let be changed, or a value that it can not keep.
	SetMetadata(ctx context.Context, m MailboxRef, changes []MetadataEntry) error
}

// MetadataQuery says which entries are wanted.
type MetadataQuery struct {
	Entries []string // names; "/private" and "/shared" are allowed with a depth
	Depth   MetadataDepth
}

// MetadataDepth says which entries below a named one are wanted as well (RFC 5464 §4.2.2).
type MetadataDepth uint8

// Depths.
const (
	DepthZero     MetadataDepth = iota // none
	DepthOne                           // those directly below
	DepthInfinity                      // all below
)

// Wants reports whether the entry with a name is asked for.
func (q *MetadataQuery) Wants(name string) bool {
	for _, e := range q.Entries {
		if name == e {
			return true
		}
		if q.Depth == DepthZero || len(name) <= len(e)+1 || name[:len(e)] != e || name[len(e)] != '/' {
			continue
		}
		below := name[len(e)+1:]
		if q.Depth == DepthInfinity {
			return true
		}
		flat := true
		for i := range len(below) {
			flat = flat && below[i] != '/'
		}
		if flat {
			return true
		}
	}
	return false
}

// MetadataEntry is an annotation.
type MetadataEntry struct {
	Name  string
	Value []byte // nil: in an answer never; in a change the annotation is removed. An empty value is one.
}

// MailboxMetadata is the answer for one mailbox: the entries that are there and were asked for, sorted by name.
type MailboxMetadata struct {
	Err     *Error
	Entries []MetadataEntry
}

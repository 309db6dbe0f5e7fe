package backend

import "context"

// Quota is implemented by storage that limits how much mail a user may have (RFC 9208; capability CapQuota). It refuses Append and Copy
// beyond the limits itself, with KindOverQuota.
type Quota interface {
	// Quota returns the user's quota roots with what they have of their resources. A root without any limit has no resources.
	Quota(ctx context.Context, u *User) ([]QuotaRoot, error)
}

// QuotaRoot is a quota root (RFC 9208 §3.2).
type QuotaRoot struct {
	Name       string
	Namespaces []string // names of the namespaces whose mailboxes belong to it
	Resources  []QuotaResource
}

// QuotaResource is a resource with its limit.
type QuotaResource struct {
	Kind         QuotaKind
	Usage, Limit uint64 // bytes, or a number; Limit is not 0
}

// QuotaKind is a kind of resource (RFC 9208 §5).
type QuotaKind uint8

// Kinds of resources.
const (
	QuotaStorage QuotaKind = iota // bytes of all messages
	QuotaMessage                  // number of messages
	QuotaMailbox                  // number of mailboxes
)

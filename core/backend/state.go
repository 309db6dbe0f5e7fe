package backend

import (
	"context"
	"time"
)

// State is the state plugin kind: a small store of keys and values that servers share, with values that expire and writes that take place
// only if nobody else was faster.
//
// Each write gives its key a new version. A version is never given to a key twice, not after the key was deleted or has
// expired either, nor after the store has lost its contents; of two versions of a key the later one is greater. Namespaces need not be made.
type State interface {
	Plugin
	// Get looks up 1 to MaxStateBatch keys. The result has a value for each of them, in their order; those that do not exist have
	// version 0.
	Get(ctx context.Context, namespace string, keys []string) ([]StateValue, error)
	// Put writes a value if its condition holds. That it does not is no error: Done is false then. KindLimit: the store is full.
	Put(ctx context.Context, p StatePut) (StateResult, error)
	// Delete removes a key if its condition holds; likewise.
	Delete(ctx context.Context, d StateDelete) (StateResult, error)
	// List returns a page of the keys that begin with a prefix, in their order. The pages together are not a snapshot.
	List(ctx context.Context, l StateList) (*StatePage, error)
}

// StateWatcher is implemented by state plugins that tell of changes (capability CapWatch).
type StateWatcher interface {
	// Watch calls tell, from one goroutine, until ctx ends or tell fails. It returns that error, or why it can not go on. The
	// first call comes at once and says Lost: all changes after it are told, or Lost is said again. The news are not kept by the caller beyond tell.
	Watch(ctx context.Context, w StateWatch, tell func(*StateNews) error) error
}

// CapWatch: state implements StateWatcher.
const CapWatch = "watch"

// Limits of a state plugin, for all stores.
const (
	MaxStateNamespace = 255                  // bytes of UTF-8
	MaxStateKey       = 1024                 // bytes, one at least
	MaxStateValue     = 64 << 10             // bytes
	MaxStateBatch     = 1000                 // keys of Get, entries of a page, changes of a StateNews
	MaxStateTTL       = 366 * 24 * time.Hour // of a value that does not stay
	MaxStateBytes     = 2 << 20              // bytes of keys and values of a page of more than one entry
)

// StateValue is what a key has.
type StateValue struct {
	Version uint64        // 0 = the key does not exist
	Data    []byte        // not changed by whoever has it
	TTL     time.Duration // how long it lasts, in ms, rounded up; 0 = for ever
}

// StatePut is a write.
type StatePut struct {
	Namespace, Key string
	Data           []byte        // kept by the plugin, and not changed
	TTL            time.Duration // whole ms count; 0 = it stays
	IfVersion      uint64        // the key must have this version; 0 = any
	IfAbsent       bool          // the key must not exist. Not together with IfVersion
}

// StateDelete removes a key.
type StateDelete struct {
	Namespace, Key string
	IfVersion      uint64 // as of StatePut
}

// StateResult says what a write came to.
type StateResult struct {
	// Done: the condition held. Of a StateDelete without one always true.
	Done bool
	// Version is the new one of a StatePut that is done, else the one that was there; 0 = the key did not exist.
	Version uint64
}

// StateList asks for a page.
type StateList struct {
	Namespace string
	Prefix    string
	After     string // the page begins after this key; "" = with the first
	Limit     int    // 1 to MaxStateBatch
}

// StatePage is a part of a listing.
type StatePage struct {
	Entries []StateEntry // ascending; MaxStateBytes at most, or one
	More    bool         // there may be others after the last one, of which there is at least one
}

// StateEntry is a key that exists.
type StateEntry struct {
	Key string
	StateValue
}

// StateWatch says what is watched.
type StateWatch struct {
	Namespace string
	Prefix    string
}

// StateNews is what has happened since the news before.
type StateNews struct {
	Changes []StateChange // in the order in which they took place, at most MaxStateBatch
	Lost    bool          // others before them were lost: everything is to be read again
}

// StateChange says which version a key has now.
type StateChange struct {
	Key     string
	Version uint64 // 0 = it does not exist any more
}

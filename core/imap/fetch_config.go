package imap

import (
	"time"

	"github.com/roostmail/roost/core/message"
)

// FetchConfig holds the settings of FETCH and SEARCH.
type FetchConfig struct {
	Buffer     int            // bytes of a message that are held in memory to be taken apart, [limits] fetch_buffer
	Parts      message.Limits // MIME parts that a message is taken apart into
	Retries    int            // calls of a storage that is down, per message
	RetryDelay time.Duration  // before the first of these; each further one waits longer by as much
}

// DefaultFetchConfig are usable values.
var DefaultFetchConfig = FetchConfig{Buffer: 64 << 20, Retries: 5, RetryDelay: 200 * time.Millisecond}

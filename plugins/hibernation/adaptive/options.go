package adaptive

import (
	"time"

	"github.com/roostmail/roost/core/backend"
)

// options is the plugin's configuration.
type options struct {
	warm, minWarm, maxWarm time.Duration
	tight                  float64 // share of a mark
	history                int     // records
}

var defaults = options{warm: 5 * time.Second, minWarm: 500 * time.Millisecond, maxWarm: 10 * time.Minute, tight: 0.8, history: 65536}

// maxHistory bounds the option history: 32 MiB of records.
const maxHistory = 1 << 20

// optionList documents the options.
var optionList = []backend.Option{
	{Name: "warm", Type: backend.OptionDuration, Default: `"5s"`, Help: "how long a mailbox stays warm after its last use if nothing is known about it"},
	{Name: "min_warm", Type: backend.OptionDuration, Default: `"500ms"`, Help: "the same under pressure, at least"},
	{Name: "max_warm", Type: backend.OptionDuration, Default: `"10m"`, Help: "how long a mailbox stays warm at most because its next use is expected"},
	{Name: "tight", Type: backend.OptionInt, Default: "80", Help: "percent of [hibernation] memory and queue beyond which less is kept warm"},
	{Name: "history", Type: backend.OptionInt, Default: "65536", Help: "mailboxes and users whose pauses are remembered, 32 bytes each; 0: none"},
}

func parseOptions(given map[string]any) (options, error) {
	o := defaults
	var err error
	fail := func(name, format string, args ...any) {
		if err == nil {
			err = backend.OptionErrorf(name, format, args...)
		}
	}
	duration := func(name string, to *time.Duration) (set bool) {
		text, ok := given[name].(string)
		if !ok {
			return false
		}
		d, parseErr := backend.ParseDuration(text)
		if parseErr != nil {
			fail(name, "%q %v", text, parseErr)
		} else if d > backend.MaxWarm {
			fail(name, "must be %v at most", backend.MaxWarm)
		}
		*to = d
		return true
	}
	number := func(name string, low, high, def int64) int64 {
		n, ok := given[name].(int64)
		if !ok {
			return def
		}
		if n < low || n > high {
			fail(name, "must be from %d to %d", low, high)
		}
		return n
	}
	duration("warm", &o.warm)
	if !duration("min_warm", &o.minWarm) {
		o.minWarm = min(o.minWarm, o.warm)
	}
	if !duration("max_warm", &o.maxWarm) {
		o.maxWarm = max(o.maxWarm, o.warm)
	}
	o.tight = float64(number("tight", 1, 100, 80)) / 100
	o.history = int(number("history", 0, maxHistory, int64(defaults.history)))
	if o.minWarm > o.warm {
		fail("min_warm", "must not be longer than warm")
	}
	if o.maxWarm < o.warm {
		fail("max_warm", "must not be shorter than warm")
	}
	return o, err
}

package authdb

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/roostmail/roost/core/backend"
)

// maxDelay is the longest that delay_until may hold up a login; beyond it the login is refused (dovecot
// src/auth/auth-request.h, AUTH_REQUEST_MAX_DELAY_SECS).
const maxDelay = 5 * time.Minute

// delay waits as delay_until=<UNIX time>[+<seconds>] says: until then, and a random part of the seconds more.
func (db *DB) delay(ctx context.Context, d passdb) error {
	text, set := d.fields["delay_until"]
	if !set {
		return nil
	}
	until, spread, err := parseDelay(text)
	if err != nil {
		db.log.ErrorContext(ctx, "delay_until does not parse", "user", d.name, "value", text)
		return failed("delay_until does not parse")
	}
	wait := until.Sub(db.now())
	if wait <= 0 {
		return nil
	}
	if wait > maxDelay {
		return failed("delay_until is more than 5 minutes away")
	}
	if spread > 0 {
		wait += rand.N(spread)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return backend.Errorf(backend.KindCancelled, "cancelled")
	}
}

func parseDelay(s string) (until time.Time, spread time.Duration, err error) {
	at, extra, hasExtra := strings.Cut(s, "+")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return time.Time{}, 0, errors.New("not a UNIX time")
	}
	if hasExtra {
		n, err := strconv.ParseUint(extra, 10, 16)
		if err != nil {
			return time.Time{}, 0, errors.New("not a number of seconds")
		}
		spread = time.Duration(n) * time.Second
	}
	return time.Unix(seconds, 0), spread, nil
}

package imap

import (
	"hash/maphash"
	"strings"
	"sync"
	"time"
)

// attempts remembers who has tried to log in: 65,536 addresses at most, the ones that tried last (of eight that share a
// place). An address that is forgotten starts anew. Another one remembers the users that somebody has tried to log in as.
type attempts struct {
	now    func() time.Time
	seed   maphash.Seed
	shards [64]attemptShard
}

type attemptShard struct {
	mu   sync.Mutex
	sets [][attemptWays]attempt // nil until it is needed; attemptSets of them
}

const (
	attemptSets = 128
	attemptWays = 8
)

// attempt is what is known of one address, or user.
type attempt struct {
	key    uint64 // session.AddressKey, or userKey
	last   int64  // UNIX time in seconds of the last login or failure, 0 = nobody
	logins uint32 // in that second
	failed uint32 // logins that failed, since one that did not
	since  int64  // UNIX time of the last that failed
}

// forgetFailures is how long an address's failures count after the last of them (Dovecot's AUTH_PENALTY_TIMEOUT).
const forgetFailures = time.Hour

func newAttempts(now func() time.Time) *attempts {
	return &attempts{now: now, seed: maphash.MakeSeed()}
}

// with calls f with the entry of an address, which is made if need be, and the time.
func (a *attempts) with(key uint64, f func(e *attempt, now int64)) {
	h := maphash.Comparable(a.seed, key)
	sh := &a.shards[h%uint64(len(a.shards))]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now := a.now().Unix()
	if sh.sets == nil {
		sh.sets = make([][attemptWays]attempt, attemptSets)
	}
	set := &sh.sets[h/uint64(len(a.shards))%attemptSets]
	oldest := &set[0]
	for i := range set {
		if e := &set[i]; e.last != 0 && e.key == key {
			f(e, now)
			return
		} else if e.last < oldest.last {
			oldest = e
		}
	}
	*oldest = attempt{key: key, last: now}
	f(oldest, now)
}

// begin counts a login of an address, and reports whether it is one of the first rate in its second.
func (a *attempts) begin(key uint64, rate int) (ok bool) {
	a.with(key, func(e *attempt, now int64) {
		if e.last != now {
			e.last, e.logins = now, 0
		}
		if ok = e.logins < uint32(rate); ok {
			e.logins++
		}
	})
	return ok
}

// fail counts a login that failed, and returns how many have failed in a row.
func (a *attempts) fail(key uint64) (n int) {
	a.with(key, func(e *attempt, now int64) {
		if now-e.since > int64(forgetFailures/time.Second) {
			e.failed = 0
		}
		e.failed = min(e.failed+1, 1<<30)
		e.since = now
		if e.last != now {
			e.last, e.logins = now, 0
		}
		n = int(e.failed)
	})
	return n
}

// succeed forgets an address's failures.
func (a *attempts) succeed(key uint64) {
	h := maphash.Comparable(a.seed, key)
	sh := &a.shards[h%uint64(len(a.shards))]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.sets == nil {
		return
	}
	set := &sh.sets[h/uint64(len(a.shards))%attemptSets]
	for i := range set {
		if e := &set[i]; e.last != 0 && e.key == key {
			e.failed = 0
		}
	}
}

// userKey returns what a user is known by, in any letters; 0 for none, which is not the key of a name.
func (a *attempts) userKey(user string) uint64 {
	if user == "" {
		return 0
	}
	return maphash.String(a.seed, strings.ToLower(user)) | 1
}

// penalty is how long the answer to the n-th failure in a row waits: twice as long as the one before, up to most.
func penalty(n int, first, most time.Duration) time.Duration {
	if first <= 0 {
		return 0
	}
	d := first
	for ; n > 1 && d < most; n-- {
		d *= 2
	}
	return min(d, max(first, most))
}

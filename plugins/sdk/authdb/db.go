package authdb

import (
	"crypto/rand"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"
)

// DB answers for the users of a source. It implements backend.Auth but for the methods of backend.Plugin, backend.UserLookup, and
// backend.SASL. Safe for concurrent use.
type DB struct {
	log    *slog.Logger
	opts   Options
	source Source
	// masters has the master users; nil: there are none.
	masters Source
	now     func() time.Time
	// hashing has one element for each hash that is being computed; its
	// capacity is the number of cores. One ARGON2 hash takes 64 MiB and more.
	hashing chan struct{}
	decoy   atomic.Pointer[string] // the stored password that was found last
	secret  [32]byte               // what salts are made of
}

// New returns a DB. now is the clock, for delay_until; nil: the system's.
func New(log *slog.Logger, o Options, s Source, now func() time.Time) *DB {
	if now == nil {
		now = time.Now
	}
	db := &DB{log: log, opts: o, source: s, now: now, hashing: make(chan struct{}, runtime.GOMAXPROCS(0))}
	rand.Read(db.secret[:]) // never fails
	return db
}

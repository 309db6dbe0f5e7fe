package session

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/core/conn/tls13"
	"github.com/roostmail/roost/core/slab"
)

// attachTables takes over the tables, or makes new ones.
func (e *Engine) attachTables(in *Inherited) (err error) {
	options := slab.Option(0)
	if e.cfg.Keeper != nil {
		options = slab.Shared
	}
	sessions := e.cfg.MaxSessions
	switch {
	case in == nil:
		e.slab, err = newRecords(sessions, options)
	case in.records != nil:
		e.slab, e.saved, e.tlsSlots = in.records, in.saved, in.tls
		return nil
	default:
		var t *slab.Table[record]
		t, err = slab.Attach[record](in.Sessions, max(sessions, in.MaxSessions), options)
		e.slab = &records{table: t}
	}
	if err != nil {
		return err
	}
	options |= slab.Secret // from here on; there may be passwords in saved
	if in == nil {
		e.tlsSlots, err = slab.New[tls13.State](TableTLS, sessions, options)
	} else {
		e.tlsSlots, err = slab.Attach[tls13.State](in.TLS, max(sessions, in.MaxSessions), options)
	}
	if err != nil {
		return err
	}
	if in == nil {
		e.saved, err = slab.NewBlobs(TableSaved, maxSavedCells, options)
	} else {
		e.saved, err = slab.AttachBlobs(in.Saved, maxSavedCells, options)
	}
	return err
}

// maxSavedCells bounds the memory of packed extras, at 8 GiB.
const maxSavedCells = 1 << 28

// bootTime is a clock that all processes share, and that nobody sets.
func bootTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // its only errors are those of a wrong clock or address
	return time.Duration(ts.Nano())
}

// Start returns the boot time (CLOCK_BOOTTIME) at which second 1 of the engine's clock began, which records count from.
func (e *Engine) Start() time.Duration { return bootTime() - e.clock().Sub(e.start) }

// MaxSessions returns how many sessions the table may hold.
func (e *Engine) MaxSessions() int { return e.cfg.MaxSessions }

// Names of the tables.
const (
	TableSessions = "roost sessions"
	TableSaved    = "roost session extras"
	TableTLS      = "roost TLS"
)

// Table is a table that outlives the process.
type Table struct {
	Name string
	FD   int // memfd, the table's own
}

// Tables returns the tables that another process needs, with Start and MaxSessions, to go on with the sessions. Without a keeper there are none.
func (e *Engine) Tables() []Table {
	if e.cfg.Keeper == nil {
		return nil
	}
	return []Table{{TableSessions, e.slab.table.FD()}, {TableSaved, e.saved.FD()}, {TableTLS, e.tlsSlots.FD()}}
}

// Layout is what records, and what they refer to, look like. Processes with different ones can not take over each other's sessions.
const Layout = "sessions 2: record 112, extra 3, TLS 1.3 208"

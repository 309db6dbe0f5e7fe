package session

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/roostmail/roost/core/conn/tls13"
)

// The settings that refuse something, as the operator writes them.
const (
	limitSessions         = "[limits] max_sessions"
	limitAddress          = "[limits] address_sessions"
	limitAddressUnauth    = "[limits] unauthenticated_address_sessions"
	limitUnauth           = "[limits] unauthenticated_sessions"
	limitFiles            = "RLIMIT_NOFILE"
	limitMemory           = "system memory"
	limitLine             = "[limits] line"
	limitLineUnauth       = "[limits] unauthenticated_line"
	limitLiteral          = "[limits] literal"
	limitLiteralUnauth    = "[limits] unauthenticated_literal"
	limitCommand          = "[limits] command"
	limitMessage          = "[limits] message"
	limitSpool            = "[limits] spool"
	limitSpoolFiles       = "[limits] spool_files"
	limitSpoolDir         = "[limits] spool_dir"
	limitOutput           = "[limits] output"
	limitSlowClient       = "[limits] slow_client_timeout"
	limitCompressed       = "[limits] compressed_sessions"
	limitHandshakeTimeout = "[limits] handshake_timeout"
)

// Stats are the engine's figures at one time. Counters count since the start.
type Stats struct {
	Sessions    int   // connected now
	Strangers   int   // of these, not logged in
	TLS         int   // of these, protected by TLS
	TLSRecords  int   // of these, by TLS 1.3 that sleeps in a TLS slot
	TLSHeld     int   // of these, by crypto/tls's state: TLS 1.2, Config.HoldTLS, or a handshake in progress
	Workers     int   // workers that there are
	Running     int   // workers that run a command or event
	Waiting     int   // commands that wait, without a worker's slot, for a client to read or to shake hands, or for what another command finds
	Paused      int   // commands whose time slice was used up, which wait for the next one
	Queued      int   // sessions that wait for a worker
	Handshakes  int   // TLS handshakes in progress
	Extras      int   // sleeping sessions with something beside their record
	ExtraBytes  int64 // what they hold in input, output and bookkeeping
	SpoolMemory int64 // octets taken for bodies in memory, of commands half-received or running
	Spools      int   // commands half-received or running with bodies in a file
	SpoolBytes  int64 // octets of these, announced
	Compressed  int   // sessions whose stream is compressed
	FlowBytes   int64 // what is kept of these streams; in ExtraBytes too while the session sleeps
	SlabBytes   int64 // mapped for records, TLS slots and packed extras, used or not
	Loops       int

	Accepted         uint64 // connections that became sessions
	Quick            uint64 // commands answered from the record
	Run              uint64 // commands run by a worker
	Jobs             uint64 // commands, literals, events and timeouts that a worker dealt with
	HandshakesFailed uint64 // by error or [limits] handshake_timeout
	RefusedSessions  uint64 // connections turned away by [limits] max_sessions
	RefusedAddress   uint64 // … by [limits] address_sessions
	RefusedStrangers uint64 // … by [limits] unauthenticated_address_sessions
	EvictedStrangers uint64 // sessions ended by [limits] unauthenticated_sessions
	RefusedFiles     uint64 // … for lack of descriptors
	RefusedInput     uint64 // lines, literals, commands and messages beyond their limits
	RefusedSpool     uint64 // bodies for which there was no room ([limits] spool, spool_files)
	FailedSpool      uint64 // bodies that could not be written
	RefusedCompress  uint64 // COMPRESS commands refused by [limits] compressed_sessions
	BadStreams       uint64 // sessions ended by compressed input that is invalid
	DroppedOutput    uint64 // sessions ended by [limits] output
	DroppedSlow      uint64 // sessions ended by [limits] slow_client_timeout

	Held     int    // descriptors of which the keeper has a duplicate
	Restored uint64 // sessions that go on from the process before
	Lost     [losses]uint64
}

// counts are the engine's counters.
type counts struct {
	accepted, quick, run, jobs, restored, badStreams atomic.Uint64
	lost                                             [losses]atomic.Uint64
}

// refusals count what was refused, and write log lines, at most one per kind and second.
type refusals struct {
	sessions, address, strangers, evicted, files, accepts, input, spool, spoolFailed, output, slow, handshakes, compress refusal
}

// refusal is one kind.
type refusal struct {
	n      atomic.Uint64
	logged atomic.Int64  // second of the last line
	quiet  atomic.Uint64 // refusals without a line since
}

// hit counts a refusal of the session's; attrs go to the log line.
func (f *refusal) hit(s *Session, limit string, attrs ...any) {
	f.count(s.e, s.Remote(), limit, attrs...)
}

// count counts a refusal.
func (f *refusal) count(e *Engine, peer netip.AddrPort, limit string, attrs ...any) {
	f.n.Add(1)
	now, last := int64(e.seconds())+1, f.logged.Load()
	if now == last || !f.logged.CompareAndSwap(last, now) {
		f.quiet.Add(1)
		return
	}
	e.log.Warn("refused", append([]any{"limit", limit, "remote", peer, "more", f.quiet.Swap(0)}, attrs...)...)
}

// RefusalCount is a refusal by the protocol: it is counted and logged as the engine's own are. The zero value is ready.
type RefusalCount struct{ f refusal }

// Hit counts a refusal of the session's by limit, the setting as the operator writes it; attrs go to the log line.
func (c *RefusalCount) Hit(s *Session, limit string, attrs ...any) { c.f.hit(s, limit, attrs...) }

// Count returns how many there were.
func (c *RefusalCount) Count() uint64 { return c.f.n.Load() }

// Stats returns the engine's figures.
func (e *Engine) Stats() Stats {
	held, slots := int(e.tlsConns.Load()), e.tlsSlots.Used()
	load := e.pool.load()
	st := Stats{
		Sessions:    int(e.live.Load()),
		Strangers:   e.door.listed(),
		TLS:         held + slots,
		TLSRecords:  slots,
		TLSHeld:     held,
		Running:     load.running,
		Waiting:     load.waiting,
		Paused:      load.paused,
		Queued:      load.queued,
		Handshakes:  e.handshakes.inProgress(),
		Extras:      int(e.extras.count.Load()),
		ExtraBytes:  e.extras.bytes.Load() + e.saved.UsedBytes(),
		SpoolMemory: e.spools.memory.taken.Load(),
		Spools:      int(e.spools.files.Load()),
		SpoolBytes:  e.spools.bytes.Load(),
		Compressed:  int(e.compressed.Load()),
		FlowBytes:   e.flowBytes.Load(),
		SlabBytes:   e.slab.bytes() + e.tlsSlots.Bytes() + e.saved.Bytes(),
		Loops:       len(e.loops),

		Accepted:         e.counts.accepted.Load(),
		Quick:            e.counts.quick.Load(),
		Run:              e.counts.run.Load(),
		Jobs:             e.counts.jobs.Load(),
		HandshakesFailed: e.refusals.handshakes.n.Load(),
		RefusedSessions:  e.refusals.sessions.n.Load(),
		RefusedAddress:   e.refusals.address.n.Load(),
		RefusedStrangers: e.refusals.strangers.n.Load(),
		EvictedStrangers: e.refusals.evicted.n.Load(),
		RefusedFiles:     e.refusals.files.n.Load(),
		RefusedInput:     e.refusals.input.n.Load(),
		RefusedSpool:     e.refusals.spool.n.Load(),
		FailedSpool:      e.refusals.spoolFailed.n.Load(),
		RefusedCompress:  e.refusals.compress.n.Load(),
		BadStreams:       e.counts.badStreams.Load(),
		DroppedOutput:    e.refusals.output.n.Load(),
		DroppedSlow:      e.refusals.slow.n.Load(),
		Restored:         e.counts.restored.Load(),
	}
	if e.holder != nil {
		st.Held = int(e.holder.held.Load())
	}
	for i := range st.Lost {
		st.Lost[i] = e.counts.lost[i].Load()
	}
	return st
}

// Info describes a session for an operator.
type Info struct {
	Handle     Handle
	Busy       bool // in a command; only Handle is known
	Remote     netip.AddrPort
	TLS        bool
	Compressed bool
	Mailbox    uint32
	Received   time.Time // the last input, in whole seconds
	Bytes      int       // of its record, TLS slot and extra
	State      State
}

// Each calls f for every session, until f returns false. It looks at one session at a time, so the
// whole is no snapshot. f must not call the engine.
func (e *Engine) Each(f func(Info) bool) {
	for slot := uint32(1); slot <= e.slab.slots(); slot++ {
		info, ok := e.info(slot)
		if ok && !f(info) {
			return
		}
	}
}

// info owns the session for the moment if it sleeps, since nobody else may read its record.
func (e *Engine) info(slot uint32) (Info, bool) {
	r, gen := e.slab.hold(slot)
	defer e.slab.letGo()
	if r == nil {
		return Info{}, false
	}
	h := makeHandle(slot, gen)
	switch out, b := r.word.signal(gen, 0); out {
	case signalStale:
		return Info{}, false
	case signalOwned:
		info := e.infoOf(h, r)
		if b |= r.release(); b != 0 {
			e.submit(task{slot: slot, gen: gen, b: b})
		}
		e.settle()
		return info, true
	}
	return Info{Handle: h, Busy: true}, true
}

// infoOf describes a session that the caller owns.
func (e *Engine) infoOf(h Handle, r *record) Info {
	bytes := recordSize
	if r.tls != 0 {
		bytes += tls13.StateSize
	}
	if r.filed() {
		bytes += int(e.extras.get(h.slot()).bytes())
	}
	bytes += e.saved.Size(r.saved)
	return Info{Handle: h, Remote: r.remote(), Bytes: bytes, TLS: r.flags&flagTLS != 0, Compressed: r.flags&flagDeflate != 0, Mailbox: r.mailbox,
		Received: e.timeOf(r.received), State: r.state}
}

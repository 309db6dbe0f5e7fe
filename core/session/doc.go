// Package session is the session engine: it holds what a sleeping session is (a record of 112 bytes, 208 more
// for TLS 1.3, and a socket), wakes it when something happens, and lends it what it needs while it is awake. It knows of commands only where
// they end (core/imapwire.Framer); what they mean is the Protocol's.
//
//	accept ─▶ Greet ─▶ asleep ──input──▶ loop: frame ─┬─ Quick: answered on the loop ──────────▶ asleep
//	                     ▲                            ├─ piece of a body ─▶ worker: to its spool ─▶ asleep
//	                     │                            └─ task ─▶ worker: Run, waits for slow clients without a slot
//	                     └── output waits for the socket, deadline, mailbox event, shutdown, hang-up
//
// # Invariants
//
//  1. Whoever changed a record's word from idle to busy owns the session, until it gives the word back
//     or the session ends: the record, its extra, its descriptor, its Session. There is exactly one owner at any
//     moment. Everybody else only adds pending bits to the word (word.go), which the owner gets at the latest
//     when it tries to give the word back. Owners are loops, workers, a task in the workers' queue, and for
//     nanoseconds SignalMailbox and Each.
//  2. Handles, epoll keys, tasks and timer entries carry slot and generation. The generation is compared in the
//     same atomic step that takes or signals the session, so nothing stale touches the slot's next session.
//  3. The descriptor is closed once, in finish, by the owner (but see 11), before the slot is free; the table entry, the
//     wheel's and the mailbox's links and the extra with its spool are given back there too. Protocol.Closed is called there once.
//  4. A sleeping session holds no goroutine and no buffer but what its extra holds: a half-received command, output
//     that the client does not take (both bounded by Config), a part of a TLS record, a compressed stream (at most some 33 KiB,
//     compress.go), the protocol's rare state, and the state of
//     crypto/tls for TLS 1.2. Most sessions have none: TLS 1.3 sleeps in a slot of Engine.tlsSlots (tls_records.go). A
//     half-received command with a body larger than SpoolAbove also holds a file (spool.go), or memory within bounds for all (spoolmemory.go). What sleeps is packed outside of Go's heap (saved.go), but for
//     files, crypto/tls's state, and for a while what is large.
//  5. Input is not read before the input before it is used, nor while output waits for the client: its TCP window holds it back.
//     TLS reads up to wireSize bytes of records, but opens none before its turn. Commands of one session run one after the other, in the order they came.
//  6. A loop never blocks, and writes no files, which may wait for the disk. A worker that waits for a client has given its
//     slot away (pool.go), so slow clients cost goroutines, bounded in time by SlowClientTimeout and
//     HandshakeTimeout, but no capacity. A long command gives its slot away between messages (Session.Breathe) when its time
//     slice is used up; one user never has more than UserWorkers slots, and all who have not logged in no more than half.
//  7. What cannot be done now stays in record.todo: edge-triggered readiness is told once only.
//  8. Locks are leaves: the table's, a side table shard's, a mailbox shard's, a wheel's, the pool's, a task shard's, the gate's. None is
//     taken while another is held, but all of them may be taken within slab.hold. Words are changed, and links in records followed,
//     under any of them.
//  9. A spool is of one command: it is made when its first body is announced, and released when the command is used up
//     or refused (drop), wherever the session is then, or with the extra. What is counted for it (spools.bytes, files) is taken
//     at the announcement, before the client is asked for the body, and given back after its file is closed.
//  10. Time is in whole seconds of the engine's clock. There is no timer per session: a deadline is a
//     number in the record, and the session is in the wheel at its next deadline or before it.
//  11. With a Keeper, the records and packed extras are in memory that outlives the process, and the keeper has a duplicate of the descriptor of each
//     session that has slept for holdDelay. Another process goes on with every session whose word is not busy there (restore.go): the checksum and the busy bit
//     of the word change in one step. Of a process that gives its sessions away (freeze.go) all words are frozen before.
package session

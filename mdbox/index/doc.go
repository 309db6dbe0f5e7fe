// Package index reads and writes a Dovecot index: a dovecot.index snapshot together with
// the transaction log behind it (package translog). It keeps the result, a State, up to
// date with what other processes append to the log.
//
// The same files under other names are the index of the mdbox map (package
// mapindex) and of the mailbox list.
//
// # dovecot.index
//
//	+------------------+ 0
//	| base header      | base_header_size bytes, 120 today (header.go)
//	+------------------+ base_header_size rounded up to 8
//	| ext header 0     | 16 bytes and name, padded to 8 (extheader.go),
//	|   header data    | then hdr_size bytes of data, padded to 8
//	| ext header 1 ... |
//	+------------------+ header_size
//	| record 0         | uint32 UID, uint8 flags, then the data of the extensions,
//	| record 1 ...     | each at its record_offset (layout.go, snapshot.go)
//	+------------------+ header_size + messages_count * record_size
//
// The log is the truth. The snapshot may be absent or old, and is only ever
// replaced by rename. An extension is known in the log by its ordinal, the place
// of its header in this list.
//
// # State
//
// A State holds the messages column by column: UIDs, flags, and for each
// extension its records packed one after the other. Messages are found by
// binary search. Log records are applied as Dovecot applies them (apply_*.go),
// which fixes also what is not obvious: keyword numbers, modseqs, counters.
// Expunges are collected and cut out once per refresh.
//
// Who shows a mailbox needs less than half of a snapshot's bytes in memory. With Options.Late the columns of extensions are read
// only when something needs them (late.go).
//
// # Ownership
//
// An Index and its State belong to one owner, who calls their methods one at a
// time, normally with a lock of its own around them. Refresh changes the State
// in place: slices that its methods return are valid until then, and who needs
// them longer copies them (the Append methods do).
//
// # Positions
//
// Position names a moment in the history of an index, so that it means the same
// after a restart. Changes tells what happened since one.
//
// # Damage
//
// What is damaged is reported (Index.Damage), and what is before the damage is
// served: a log is applied up to its first broken record and not beyond, since
// what follows could refer to what was lost. The Index then looks again when one
// of its files changes. Nothing is repaired but by Repair and Reset, on demand.
//
// # Writing
//
// Index.Lock takes the lock of the log, which is the lock of the index for all programs, and
// gives a Locked. With it:
//
//  1. The State contains everything, so that ordinals of extensions, next_uid and modseqs
//     can be relied on.
//  2. Commit encodes a transaction and applies it to the State, by the code that reads
//     logs. If a record does not fit, nothing is written. Then it is one write to the log.
//     No reader sees a part of it: what a failed write has left is cut off.
//  3. Whoever syncs the mailbox carries out the Requests of other processes, and commits
//     that. CommitTail notes that nothing is left to be done.
//  4. Maintain rotates the log and replaces the snapshot when that is due. Nobody has
//     to do it, but whoever rotates must write the snapshot too.
//  5. Unlock.
//
// What is durable when, is Dovecot's mail_fsync (Fsync), with two additions: a log is
// synced before a snapshot, or another log, names its end, and a new log with its name before
// anything depends on it. So a power cut leaves nothing but, at the end of the log, a
// transaction that was not synced, complete or in part. If it is in part it is cut off by
// the next lock, unless another transaction is behind it: the format can not tell that
// from damage. See TestFaultsAndCrashes.
//
// Source: dovecot src/lib-index/mail-index.h, mail-index-map-read.c,
// mail-index-sync-update.c, mail-index-sync-ext.c, mail-index-sync-keywords.c,
// mail-index-modseq.c, mail-index-sync.c, mail-index-write.c, mail-transaction-log.c.
package index

// Package translog reads and encodes Dovecot's transaction logs: dovecot.index.log and
// its predecessor dovecot.index.log.2, and the logs of the same form that
// belong to the mdbox map and to the mailbox list index. Package index appends to them.
//
// A log is an append-only list of the changes of one index. It is the truth;
// dovecot.index is a checkpoint of it (package index applies the one to the
// other). The layout of a file is
//
//	+---------------------+ 0
//	| file header         | hdr_size bytes, 40 today (header.go)
//	+---------------------+ hdr_size
//	| record              | 8 byte record header (record.go), then the payload
//	| record ...          | (one file rec_*.go per type)
//	+---------------------+ sync offset
//	| a write in progress | or nothing
//	+---------------------+ end of file
//
// Numbers are little-endian but for the sizes of records, which have an
// encoding of their own (offset.go). Files of big-endian hosts are refused by
// their compat_flags, as Dovecot refuses them.
//
// # Transactions
//
// One write to the log is a transaction. When it has several records, the first
// is a boundary record that holds the transaction's size. A reader takes no
// lock: it stops before the first record or transaction that is not completely
// there (Scanner), and goes on from that place, the sync offset, next time.
// AppendTransaction encodes one.
//
// # Positions
//
// Every change of an index has a position (Pos): the sequence number of the log
// file and the offset in it. When .log grows too large it becomes .log.2 and a
// new .log begins, whose header names the end of the old one: Chain gives both
// files as one sequence of records. A log whose header has prev_file_seq 0 starts
// the index from nothing (Header.Resets).
//
// # Modification sequences
//
// The highest modseq of an index runs along its log: the file header has the
// value at the start of the file, and each record adds 0 or 1 (NextModSeq).
//
// Decoders check every length and never panic. What breaks the format is a
// *vfs.CorruptError; its offset is relative to the decoded slice until the
// Scanner, which knows the file, makes it absolute.
//
// Source: dovecot src/lib-index/mail-transaction-log.h,
// mail-transaction-log-file.c, mail-transaction-log-view.c.
package translog

// Package cache reads and writes dovecot.index.cache: what Dovecot has already learned about
// the messages of a mailbox, so that ENVELOPE, BODYSTRUCTURE and sizes need not be
// made from the mails again. Losing the file costs time, never data; whatever looks
// odd in it makes a message uncached and is reported, and never more than that.
//
//	0                    Header, 32 bytes; points to the first field table
//	field_header_offset  FieldTable: names, types and decisions; a newer table is
//	                     chained through next_offset and has all fields of the older
//	anywhere             Records: each message's newest record stands in the `cache`
//	                     extension of dovecot.index, older ones follow by prev_offset
//
// The extension's reset_id must equal the file's file_seq; otherwise the file was
// rewritten (purged) since, and all offsets are meaningless: ErrStale.
//
// Records never change once they are referenced. So the file is read in blocks,
// kept in memory up to a limit that all cache files of a store share (Files), and
// values are slices of them: a lookup copies nothing and allocates nothing.
//
// A Reader is made for a set of wanted header fields, which it resolves to field
// numbers once; then Load and the accessors serve one message after the other.
//
// Writing takes a WriteConfig. Its Open locks the file and gives a Writer, which appends records; Create makes a file,
// and Purge rewrites one. Which fields are stored is a decision of each file (Decision), made from what clients ask for
// (Usage) within what the configuration says (Policy). A Describer computes the values of a message while it is saved.
//
// Format: dovecot src/lib-index/mail-cache-private.h, mail-cache.c,
// mail-cache-fields.c, mail-cache-lookup.c, mail-cache-transaction.c, mail-cache-purge.c, mail-cache-decisions.c.
package cache

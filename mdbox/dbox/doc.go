// Package dbox reads and writes the mail files of an mdbox store, storage/m.N, and those of sdbox, u.<UID>.
//
// An m.N file is one header line and then messages back to back:
//
//	"2 M1e C6b04a69c\n"                 version, message header size, creation time
//	message header, M (30) bytes        magic, type, size of the stored body
//	body                                as stored: LF line ends, perhaps compressed,
//	                                    perhaps with attachments cut out
//	metadata                            "\n\x01\x03\n", lines "<key><value>\n", an empty line
//
// What a client gets is made from the stored body in four streaming steps, none
// of which holds the message in memory:
//
//	stored bytes ▸ decompress (by magic) ▸ insert attachments (metadata X) ▸ LF to CRLF
//
// Two sizes belong to a message. The physical size counts its bytes after the
// second arrow (metadata Z; without Z the size of the stored body), the virtual
// size those after the third (metadata V, the RFC822.SIZE of IMAP). A stream that
// does not end at exactly these sizes is corrupt and never silently short.
//
// Files owns the open files and is what a store has one of; Message is one opened
// message; Reader streams it, or a range of it, with CRLF line ends.
//
// Nothing is locked to read: the bytes of a message never change once the map
// refers to them. A purge moves messages and unlinks the file; Open then returns
// an error that is fs.ErrNotExist, and the caller looks up the message again.
//
// Writing goes the other way: CRLF to LF ▸ compress, if so configured ▸ stored bytes. An Appender saves the messages of
// one transaction to files that it has locked, and to new ones; what it does must be framed by the locks of the map, which
// is up to the caller. Files.Lock, Locked and Appender.CopyRaw are what a purge needs, Single is a file of sdbox.
// Attachments are never cut out of new messages. What a killed process leaves behind in mail files, Files.Interrupted finds.
//
// Format: dovecot src/lib-storage/index/dbox-common/dbox-file.h, dbox-file.c.
package dbox

// Package maildir reads and writes mailboxes in the format Maildir, with the files that Dovecot adds to it.
//
//	<mailbox>/new/             delivered by any program, not seen by a server yet
//	<mailbox>/cur/             the messages, one file each: flags and keywords are in the file name (filename.go)
//	<mailbox>/tmp/             messages while they are written
//	<control>/dovecot-uidlist  which UID belongs to which file (uidlist.go)
//	<control>/dovecot-keywords which letter in a file name stands for which keyword (keywords.go)
//	<index>/dovecot.index*     as for other formats (package index), with the extension "maildir" (indexext.go)
//
// The files are the truth: a message exists if its file does, and has the flags of its file name. UIDs are those of
// dovecot-uidlist. The index follows both, and is ahead of them only in changes that a client asked for and that nobody
// has carried out yet: those are the records of its log that are not external. Sync brings all in line.
//
// # Locks
//
// A Mailbox is locked by dovecot-uidlist.lock, a dotlock, which comes before the lock of the index's log. Other programs do
// not lock: a file can be renamed or disappear, and another one appear, between any two system calls. So nothing is concluded
// from a file that could not be opened or renamed, but that the directories must be read again; and that a message is gone
// only if it was missed twice.
//
// Source: dovecot src/lib-storage/index/maildir.
package maildir

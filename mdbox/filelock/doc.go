// Package filelock takes locks the way Dovecot takes them, so that this process and the Dovecot processes beside it
// exclude each other.
//
// There are three kinds:
//
//   - A Log is a lock on the content of a file that others may replace: an index log, or a cache. After the lock was
//     had, the path is looked at again; if it leads to another file by then, that one is locked instead.
//   - A File is a file that exists only to be locked: mailboxes.lock, dovecot-vsize.lock. It is made locked, by linking
//     it to its name, and unlinked by the last who held it. One that was left behind by a crash stands in nobody's way.
//   - A Dotlock is a file whose existence is the lock. It either names its holder ("pid:host"), or holds what shall
//     replace the protected file when the lock is released by a rename. One that was left behind is overridden when its
//     holder is dead, or when neither it nor the protected file has changed for a while.
//
// lock_method of Dovecot's configuration says how the first two are locked: by a lock on the open file (fcntl, flock),
// or by a dotlock. All programs that use a store must have the same one.
//
// For fcntl, open file description locks are used. They conflict with the classic POSIX locks of other processes in both
// directions, but belong to the open file and not to the process: two goroutines exclude each other, and closing
// another descriptor of the file does not drop them. Goroutines that wait for the same path queue first, in order of
// arrival; the first of them waits in the kernel, in line with Dovecot's processes, or polls where that is not possible.
//
// Sources: Dovecot src/lib/file-lock.c, file-dotlock.c, file-create-locked.c, src/lib-index/mail-transaction-log-file.c,
// src/lib-storage/mail-storage.c.
package filelock

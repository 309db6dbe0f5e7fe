// Package notifier turns what the kernel tells about directories into "this
// mailbox changed".
//
// A mailbox's log, dovecot.index.log, is written by every change to it, and the
// kernel queues an inotify event before the write returns. Whoever holds a
// descriptor of the inotify instance therefore knows without asking anybody
// whether a mailbox has changed. In roost the storage plugin adds the watches,
// core reads the events through its own copy of the descriptor, and this
// package decodes them.
//
// A buffer that read(2) filled from an inotify descriptor is a sequence of whole
// events, struct inotify_event of inotify(7), in host byte order:
//
//	off  len  field
//	  0    4  wd      int32: watch descriptor; -1 in an overflow event
//	  4    4  mask    uint32: what happened, IN_… bits
//	  8    4  cookie  uint32: ties IN_MOVED_FROM and IN_MOVED_TO together
//	 12    4  len     uint32: bytes of name, with its padding; 0 = the watched file itself
//	 16  len  name    NUL-terminated, padded with NUL
//
// An event with IN_Q_OVERFLOW says that events were lost: every mailbox may have changed.
package notifier

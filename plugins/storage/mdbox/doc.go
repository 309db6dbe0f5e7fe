// Package mdbox is the bundled storage plugin for mailstores in Dovecot's mdbox
// format. It translates between core's storage interface (core/backend) and the
// library in mdbox, which knows the format; see README.md for its options. The library serves other
// formats as well, each of which is a plugin of its own for the configuration: NewFormat.
//
// # What it keeps
//
// Every call names the user, the namespace and the mailbox, so nothing has to
// be kept between calls, and a restart of the plugin loses nothing. What is kept is a cache:
//
//   - stores (one per mail root): the map of m.N files, and the mailbox list index
//   - mailboxes: the state of the index, updated from its log
//   - open m.N files
//
// Each is bounded by an option (max_open_stores, max_open_mailboxes, max_open_files, cache_bytes),
// and what was unused for the longest time goes first.
//
// # Positions and watches
//
// A Position names a place in the mailbox's log, so that Changes can tell exactly what happened since,
// also after a restart and over a rotation of the log (see position). The
// watch on the mailbox's directory is added before its state is read: a change that comes between
// the two is announced needlessly, but never lost.
package mdbox

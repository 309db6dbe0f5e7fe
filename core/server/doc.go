// Package server puts the parts of core together and gives them a life.
//
// Start, in this order, so that whatever is wrong shows before a client is let in:
//
//  1. the certificate is read, and all addresses are bound;
//  2. the plugins are started and configured (core/host), each in its own process or, with
//     isolation "inproc", here;
//  3. the protocol (core/imap) and the session engine (core/session) are made and tied together;
//  4. the reader of the storage plugin's inotify descriptor starts (watcher.go), and what puts mailboxes to sleep (core/hibernate);
//  5. the listeners are served, the admin pages too, and "msg=ready" is logged.
//
// The end, in the reverse order: Drain stops accepting, lets commands finish and says
// BYE to the rest; Close then ends everything, and returns when every goroutine and
// every child process has ended.
//
// Reload takes over what can be changed without touching a session: the certificate and
// the log level.
package server

// Package herd is the client side of tests and benchmarks with many sessions: it opens thousands of IMAP
// sessions, leaves each in one of the states in which a session can sleep, wakes them, and counts the lost ones.
//
// A session is a descriptor and a few words. There is no goroutine and no buffer for it, and no net.Conn, so that
// the client does not take the processor from the server that is measured on the same machine. Sessions come from
// many loopback addresses, 64 from each, so that neither the range of local ports nor a limit per address is met. They are
// closed with a reset, which leaves no TIME_WAIT behind.
//
// A Herd lives in the process that opens it, which may hold as many sessions as it may hold descriptors. A Fleet
// spreads a herd over child processes, which call Serve.
package herd

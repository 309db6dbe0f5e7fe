// Package memory is the state plugin "memory": a store in the memory of its process, for one server, and for tests of what uses a store.
//
// All keys of all namespaces are in one map, under namespace, a zero byte and key; beside it stands an ordered index of these names (index.go),
// which List reads, and a heap of those that expire (expiry.go). One goroutine waits for the earliest of these; besides, each call first removes
// what has expired, so that nobody sees it. Each watch has a bounded queue (watch.go).
//
// Versions count up from the UNIX time in nanoseconds at the start. A store is not written to a thousand million times a second,
// so the next process begins above them, as long as the clock is not put back by more than the time between.
package memory

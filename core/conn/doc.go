// Package conn is the socket side of the session engine: epoll, non-blocking descriptors and
// listeners, by raw system calls. It knows no IMAP, and starts no goroutine.
//
// There is no net.Conn for a client: making one costs 14-18 µs and an allocated descriptor per
// session, and Go's own poller keeps some 860 bytes of heap for each. A descriptor here is an int.
//
// # Invariants
//
//  1. Every client descriptor is registered once, edge-triggered, for input, output and hang-up, and is
//     never re-armed: going to sleep and waking need no epoll_ctl. The price is that whoever owns
//     the descriptor must read or write until the kernel says "not now" (Again), or remember that it did not.
//     A stream socket that returned less than was asked for is known to be drained (epoll(7)); the next
//     byte makes a new edge, even if it arrived before this call returned.
//  2. The 64 bits that epoll keeps for a descriptor are the caller's key: slot and generation of a session.
//     An event of a descriptor that was closed and reused in the meantime carries the old generation.
//  3. close removes a descriptor from epoll, and ends the connection, as long as it was not duplicated. One of which another
//     process holds a duplicate (core/keeper) is taken out of epoll (Remove) and shut down before it is closed.
//  4. Listeners are level-triggered and shared by all loops with EPOLLEXCLUSIVE: a turn that accepts its
//     quota and leaves the rest is woken again, and one new connection wakes one loop.
package conn

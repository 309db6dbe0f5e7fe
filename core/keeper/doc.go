// Package keeper lets sessions outlive the process that serves them.
//
// "roost serve" is two processes. The keeper is the one that was started: it runs core ("roost core") as its child, and holds what core
// would take along when it dies: the memory of the session records and of what they refer to (memfds, core/slab), a duplicate of the descriptor of
// every session that has slept, and the listening sockets. It knows nothing of what is in the records, and per session has 8 bytes and an entry
// in its table of descriptors. So it has no reason to die before core.
//
//	           keeper ──── control socket ◀── roost reload --binary
//	starts, signals │ SOCK_SEQPACKET pair: hold, drop, tables, listeners …
//	              core ──▶ plugins
//
// # Start, or restart after core died
//
//	core                                   keeper
//	hello: version, layout       ──▶
//	                             ◀──       welcome; listener (each) …; go
//	listener (each one opened)   ──▶
//	   starts its plugins
//	prepared                     ──▶
//	                             ◀──       tables; held (batches; core acknowledges) …; done
//	   restores sessions
//	tables                       ──▶
//	ready: listeners in use      ──▶       closes the other listeners
//	hold, drop: batches …        ──▶
//
// A core that dies before it was ever ready takes the keeper with it. One that dies later is started again. If it
// dies again and again before it is ready, there may be something in the sessions that kills it: they are given up, and it is started without them.
//
// # Reload of the binary
//
// A second core is started from the file that the keeper's own program was started from, and comes as far as prepared. If it does not,
// or keeps its records in another layout, it is ended and everything is as before. Else the first one gets freeze, answers frozen when the keeper has
// everything of every session, and gets exit; the second one gets tables and sessions. Meanwhile connections wait in the listening sockets.
//
// # Invariants
//
//  1. Only one core at a time has sessions: the next one gets them after frozen, or after the death of the one before (waited for).
//  2. Messages of a core arrive in the order they were sent, so a slot's next session is held after the one before was dropped. What does not
//     name the generation that is held does nothing.
//  3. The keeper's duplicates keep connections open: core shuts a connection down before it closes its descriptor.
//  4. Core has the kernel's order to die with the keeper (PR_SET_PDEATHSIG), as plugins have with core. Nothing is left when both are killed.
package keeper

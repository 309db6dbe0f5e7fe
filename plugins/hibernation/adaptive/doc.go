// Package adaptive is the hibernation plugin "adaptive": it keeps those mailboxes warm that are likely to be used again soon, as
// long as there is memory.
//
// # What it learns
//
// Of each mailbox, and of each user, it remembers how long the pauses between two bursts of commands are: a mean, and how much the pauses
// differ from it, both weighted towards the last ones (history.go). It knows of them only what is in the batches, and remembers a
// bounded number of them: the records of those not seen for longest make room.
//
// A mailbox is expected back until mean + 2 deviations after its last use. One with two known pauses, whose next use is expected
// within max_warm, is kept until then; if it is not used by then it is parked. Without pauses of its own those of its user count. All others are parked after warm.
//
// # Pressure
//
//	level    memory or run queue                 warm in force                expected mailboxes are kept for
//	calm     below tight percent of their marks  warm                         max_warm
//	tight    beyond that                         half of warm                 a quarter of max_warm
//	pressed  beyond a mark                       halved each second, down to  as above, but the least recently used are parked first, until
//	                                             min_warm                     memory is at tight percent of its mark (a quarter of all, for the queue)
//
// A level rises at once, and falls by one after 10 seconds in which the load was a tenth below what raised it. What was halved is
// doubled again every 10 seconds. (pressure.go)
//
// The policy has no clock and no randomness: the same batches give the same answers.
package adaptive

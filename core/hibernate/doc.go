// Package hibernate says which of the mailboxes at rest stay warm: it asks the policy (backend.Hibernation), and does what the policy does not.
//
// A session is a record; what can be hibernated is the cache around it, the views of its mailbox. A Governor looks at it once in an
// interval:
//
//  1. It takes the load: memory in use, tasks that wait for a worker, rates.
//  2. It collects candidates: mailboxes that have rested for as long as the policy said last (at first Config.Warm), the least recently
//     used first. When memory or run queue has passed its mark, all that rest, also those that the policy wanted to keep.
//  3. It asks the policy about up to Config.Batch of them in one call, and again until there are no more. Without candidates there is no call.
//  4. It does what the answer says. A mailbox that was used meanwhile is left alone.
//
// # The default
//
// Without a policy, and for all that a policy leaves out, this holds: a mailbox is parked when it has rested for Config.Warm. Beyond the
// mark of the memory, the least recently used are parked until what is too much is given back; beyond that of the run queue, a
// quarter of all.
//
// A policy that fails, breaks a rule or misses its deadline is not asked again for a while, which doubles with each failure in a row; until it
// has answered, the default is in force. Nothing that it said before counts then.
//
// Without a policy the registry of mailboxes has its own timer for Config.Warm, and the Governor looks at the marks only.
package hibernate

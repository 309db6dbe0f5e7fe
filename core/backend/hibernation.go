package backend

import (
	"context"
	"time"
)

// Hibernation is the hibernation plugin kind: a policy that says how long the cache around sleeping sessions
// stays warm. What it decides on are mailboxes that are open and at rest: no command works with them. To park
// one is to drop its views; its sessions are not touched, and their next command that needs a view loads it again.
//
// It is an adviser. Core asks about many mailboxes at once, never about one session, and does not ask when there is
// nothing to decide. What it does not answer in time, or at all, core decides itself.
type Hibernation interface {
	Plugin
	// Decide says what to do with the mailboxes of a batch, which holds one at least and is not kept by the plugin. It must be quick: core
	// waits for a part of a second only, and other calls do not run beside it.
	Decide(ctx context.Context, b *HibernationBatch) (*HibernationAnswer, error)
}

// HibernationBatch is one question. All columns have the same length. The mailboxes are in the order of
// their last use, the least recently used first.
type HibernationBatch struct {
	// Now is the time of core's monotonic clock: the only clock that a policy needs.
	Now  time.Duration
	Load HibernationLoad

	IDs      []uint32           // names a mailbox within the batch, and nowhere else: they are reused
	Keys     []uint64           // stands for the same mailbox as long as core runs; two mailboxes may have the same one
	UserKeys []uint64           // likewise, for its user
	Idle     []uint32           // milliseconds since its last use, at most 2^32-1
	Gaps     []uint32           // milliseconds between the two uses before, 0 = not known
	Wakes    []uint32           // how often it was used again after it was parked
	Sessions []uint32           // that have it selected; all of them sleep
	Bytes    []uint64           // what parking it gives back, about
	States   []HibernationState // of each
}

// Len returns the number of mailboxes.
func (b *HibernationBatch) Len() int { return len(b.IDs) }

// HibernationState says why a mailbox is warm. The list is append-only: the numbers travel between processes.
type HibernationState uint8

// States of a mailbox.
const (
	StateWarm HibernationState = 1 // sessions have it selected, and sleep
	StateLeft HibernationState = 2 // no session has it selected: it waits for a client that comes back
)

// HibernationLoad is how the server does, at the time of the question.
type HibernationLoad struct {
	MemoryUsed uint64 // bytes of core's memory in use, less what was parked and is not collected yet
	MemoryMark uint64 // [hibernation] memory: beyond it the server is under pressure; 0 = no mark
	Queued     uint32 // tasks that wait for a worker
	QueueMark  uint32 // [hibernation] queue: likewise; 0 = no mark
	Running    uint32 // workers that run a command
	Workers    uint32 // workers that there are
	Sessions   uint32 // connected
	Warm       uint32 // mailboxes with views, at rest or in use
	WarmBytes  uint64 // of these views

	WakesPerSecond  float64 // mailboxes that were loaded again after they were parked, in the last interval
	LoginsPerSecond float64 // in the last interval
}

// Pressed reports whether memory or run queue has passed its mark.
func (l HibernationLoad) Pressed() bool {
	return l.MemoryMark > 0 && l.MemoryUsed > l.MemoryMark || l.QueueMark > 0 && l.Queued > l.QueueMark
}

// HibernationAction is what becomes of a mailbox. The list is append-only: the numbers travel between processes.
type HibernationAction uint8

// Actions.
const (
	ActionKeep HibernationAction = 1 // keep it warm; core asks again when Again is over, or when it was used
	ActionPark HibernationAction = 2 // drop its views
	ActionDrop HibernationAction = 3 // forget it altogether: only in StateLeft
)

// HibernationAnswer is the answer to a batch. IDs, Actions and Again have the same length. The mailboxes are some of
// the batch's, in the batch's order; of the others core decides itself.
type HibernationAnswer struct {
	IDs     []uint32
	Actions []HibernationAction
	Again   []uint32 // for ActionKeep: milliseconds until core asks again, if it was not used; else 0

	// Warm is how long, from now on, a mailbox rests before core asks about it, at most MaxWarm; 0 = as configured.
	Warm time.Duration
	// SoftBytes bounds the views of all mailboxes between this answer and the next, for ten intervals at most: core parks the least
	// recently used ones that exceed it without asking. 0 = no bound.
	SoftBytes uint64
}

// MaxWarm is the longest HibernationAnswer.Warm.
const MaxWarm = 24 * time.Hour

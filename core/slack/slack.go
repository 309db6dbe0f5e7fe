// Package slack keeps the monitor of Go's runtime from taking a good part of a server's time.
//
// A process that serves one call and sleeps again wakes the monitor's thread with its first system call each time. It then looks after the
// processors every 20 µs, each look a timer, an interrupt and two switches of threads: in a call of 200 µs through two processes a quarter of all that they
// do. Linux lets timers be late by the slack of their thread, 50 µs by default; with more of it the monitor looks once or not at all while such a call lasts. The price is that
// a processor of the scheduler that is held by a slow system call goes to others as much later.
package slack

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Nanoseconds is the slack, in ns. With 10 times as much, writes that wait for the disk hold others up.
const Nanoseconds = 500_000

// ForChildren gives the processes that the calling thread starts from now on, and the thread itself, the slack: a thread inherits it from the one that makes it, so all
// of a process have it from its start on. The caller has locked its goroutine to the thread.
func ForChildren() error {
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, Nanoseconds, 0, 0, 0); err != nil {
		return fmt.Errorf("timer slack: %w", err)
	}
	return nil
}

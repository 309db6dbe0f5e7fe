package slack

import (
	"errors"
	"fmt"
	"os"
	"strconv"
)

// OfMonitor gives the slack to the monitor of this process, and to no other thread: not to those that wait for a time, nor to processes that it starts. It takes the first
// thread that the process has made for the monitor, as it is in Go, and needs CAP_SYS_NICE.
func OfMonitor() error {
	tasks, err := os.Open("/proc/self/task")
	if err != nil {
		return fmt.Errorf("timer slack: %w", err)
	}
	defer tasks.Close()
	threads, err := tasks.Readdirnames(2) // in the order in which they were made
	if err != nil {
		return fmt.Errorf("timer slack: %w", err)
	}
	if len(threads) < 2 {
		return errors.New("timer slack: the process has no second thread")
	}
	if err := os.WriteFile("/proc/"+threads[1]+"/timerslack_ns", []byte(strconv.Itoa(Nanoseconds)), 0); err != nil {
		return fmt.Errorf("timer slack: %w", err)
	}
	return nil
}

package slack

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"testing"
)

// A process that is started from the thread has the slack, and those of other threads are as before.
func TestForChildren(t *testing.T) {
	slackOfChild := func() string {
		out, err := exec.Command("cat", "/proc/self/timerslack_ns").Output()
		if err != nil {
			t.Error(err)
		}
		return strings.TrimSpace(string(out))
	}
	before := slackOfChild()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if err := ForChildren(); err != nil {
			t.Error(err)
		}
		if got := slackOfChild(); got != fmt.Sprint(Nanoseconds) {
			t.Errorf("slack of a child: %s ns, want %d", got, Nanoseconds)
		}
	}()
	<-done
	if got := slackOfChild(); got != before {
		t.Errorf("slack of a child of another thread: %s ns, want %s", got, before)
	}
}

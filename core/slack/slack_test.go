package slack

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
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

// The monitor, which is the thread that sleeps for a short time again and again while the process works, has the slack, and no other thread has it.
func TestOfMonitor(t *testing.T) {
	if os.Getenv("SLACK_CHILD") == "" { // in a process of its own, whose threads are as Go has made them
		cmd := exec.Command(os.Args[0], "-test.run=^TestOfMonitor$", "-test.v")
		cmd.Env = append(os.Environ(), "SLACK_CHILD=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if err := OfMonitor(); err != nil {
		t.Fatal(err)
	}
	with := map[string]string{}
	for _, dir := range taskDirs(t) {
		b, err := os.ReadFile(strings.Replace(dir, "/self/task", "", 1) + "/timerslack_ns")
		if err == nil {
			with[filepath.Base(dir)] = strings.TrimSpace(string(b))
		}
	}
	var late []string
	for id, slack := range with {
		if slack == fmt.Sprint(Nanoseconds) {
			late = append(late, id)
		}
	}
	if len(late) != 1 {
		t.Fatalf("slack of threads: %v, want %d of one", with, Nanoseconds)
	}
	for range 1_000_000 { // until the monitor is seen asleep: it is, most of the time, as long as something runs
		b, err := os.ReadFile("/proc/self/task/" + late[0] + "/syscall")
		if err != nil {
			t.Fatal(err)
		}
		if number, _, _ := strings.Cut(string(b), " "); number == fmt.Sprint(unix.SYS_NANOSLEEP) {
			return
		}
	}
	t.Errorf("thread %s never sleeps: it is not the monitor", late[0])
}

func taskDirs(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob("/proc/self/task/*")
	if err != nil || len(dirs) < 2 {
		t.Fatalf("threads: %v, %v", dirs, err)
	}
	return dirs
}

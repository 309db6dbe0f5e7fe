package host

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/roostmail/roost/core/slack"
)

// launcher runs functions on one OS thread that lives until close. The kernel
// sends a child's parent-death signal when the thread that forked it ends, and
// Go ends threads as it likes; this one it does not.
type launcher struct {
	jobs chan func()
	err  error // of its beginning
	done chan struct{}
}

// newLauncher starts one. With noNewPrivileges no child, nor what it executes, can gain privileges: that is a property of threads, and
// inherited.
func newLauncher(noNewPrivileges bool) *launcher {
	l := &launcher{jobs: make(chan func()), done: make(chan struct{})}
	go func() { // ends with close
		defer close(l.done)
		runtime.LockOSThread() // the thread ends with the goroutine, as it is no thread for others any more
		l.err = slack.ForChildren()
		if !noNewPrivileges {
			defer runtime.UnlockOSThread()
		} else if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			l.err = fmt.Errorf("no_new_privs: %w", err)
		}
		for job := range l.jobs {
			job()
		}
	}()
	return l
}

// run executes f and returns its error.
func (l *launcher) run(f func() error) error {
	result := make(chan error, 1)
	l.jobs <- func() {
		if l.err != nil {
			result <- l.err
			return
		}
		result <- f()
	}
	return <-result
}

// close ends the thread; nothing may be run after it.
func (l *launcher) close() {
	close(l.jobs)
	<-l.done
}

package host

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
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
		if noNewPrivileges {
			l.err = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		} else {
			defer runtime.UnlockOSThread()
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
			result <- fmt.Errorf("no_new_privs: %w", l.err)
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

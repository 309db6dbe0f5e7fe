package host

import "runtime"

// launcher runs functions on one OS thread that lives until close. The kernel
// sends a child's parent-death signal when the thread that forked it ends, and
// Go ends threads as it likes; this one it does not.
type launcher struct {
	jobs chan func()
	done chan struct{}
}

func newLauncher() *launcher {
	l := &launcher{jobs: make(chan func()), done: make(chan struct{})}
	go func() { // ends with close
		defer close(l.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for job := range l.jobs {
			job()
		}
	}()
	return l
}

// run executes f and returns its error.
func (l *launcher) run(f func() error) error {
	result := make(chan error, 1)
	l.jobs <- func() { result <- f() }
	return <-result
}

// close ends the thread; nothing may be run after it.
func (l *launcher) close() {
	close(l.jobs)
	<-l.done
}

package imap

import (
	"sync"
	"time"

	"github.com/roostmail/roost/core/imapwire"
)

// progress tells the client how far a command is that takes long: untagged OK with the response code INPROGRESS, every
// [imap] progress_interval (RFC 9585 §4). No line is written in the middle of a response: FETCH, whose responses tell enough, has none.
type progress struct {
	r     *request
	next  time.Time // of the next line
	total uint64    // steps that the command takes, 0 = not known
	told  uint64    // of these, the last time
}

// newProgress begins to watch a command. nil: nothing is told.
func (r *request) newProgress(total uint64) *progress {
	every := r.srv.cfg.ProgressInterval
	if every == 0 || len(r.tag) == 0 {
		return nil
	}
	return &progress{r: r, next: r.srv.cfg.clock.now().Add(every), total: total}
}

// at tells, if it is time, that done steps were done.
func (p *progress) at(done uint64) {
	if p == nil {
		return
	}
	if now := p.r.srv.cfg.clock.now(); !now.Before(p.next) {
		p.next = now.Add(p.r.srv.cfg.ProgressInterval)
		p.tell(done)
	}
}

// tell writes the line. Numbers only rise, and never reach the end (RFC 9585 §4); else they are NIL.
func (p *progress) tell(done uint64) {
	b := p.r.s.Buffer()
	*b = append(*b, "* OK [INPROGRESS ("...)
	*b = append(imapwire.AppendQuoted(*b, p.r.tag), ' ')
	if p.told < done && done < p.total {
		p.told = done
		*b = append(imapwire.AppendNumber(*b, done), ' ')
		*b = append(imapwire.AppendNumber(*b, p.total), ")] Processed "...)
		*b = append(imapwire.AppendNumber(*b, done*100/p.total), "%.\r\n"...)
	} else {
		*b = append(*b, "NIL NIL)] Still working.\r\n"...)
	}
	p.r.s.Push()
}

// during makes a call that may take long, and tells the client meanwhile that it goes on. The call must not touch the session.
func (r *request) during(call func()) {
	p := r.newProgress(0)
	if p == nil {
		call()
		return
	}
	stop := r.srv.cfg.clock.every(r.srv.cfg.ProgressInterval, func() { p.tell(0) })
	defer stop()
	call()
}

// await waits, without a worker, until something is done that another command does, or this one has ended.
func (r *request) await(done <-chan struct{}) {
	r.during(func() {
		r.s.Yield(func() {
			select {
			case <-done:
			case <-r.ctx.Done():
			}
		})
	})
}

// progressClock is where progress has the time from: another one in tests.
type progressClock struct {
	now func() time.Time
	// every calls f again and again, on a goroutine of its own, until stop, which returns when f does not run any more.
	every func(d time.Duration, f func()) (stop func())
}

// every is that of the system's clock. There is no goroutine until d has passed.
func every(d time.Duration, f func()) (stop func()) {
	var mu sync.Mutex // held by f
	var timer *time.Timer
	ended := false
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(d, func() {
		mu.Lock()
		defer mu.Unlock()
		if !ended {
			f()
			timer.Reset(d)
		}
	})
	return func() {
		timer.Stop()
		mu.Lock()
		defer mu.Unlock()
		ended = true
	}
}

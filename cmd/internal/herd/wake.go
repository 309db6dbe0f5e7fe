package herd

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Command is what wakes a session.
type Command string

// The commands. Which sessions take part depends on their state.
const (
	Noop      Command = "NOOP"       // of sessions that are in the middle of nothing, and not in IDLE
	DoneIdle  Command = "DONE+IDLE"  // of sessions in IDLE: ends it and begins another
	Fetch     Command = "FETCH"      // FETCH 1 (FLAGS), of selected sessions
	DoneFetch Command = "DONE+FETCH" // of sessions in IDLE; another IDLE is begun after the measurement
)

// takes reports whether a session in state s can be woken by c.
func (c Command) takes(s State) bool {
	switch c {
	case Noop:
		return s == Unauthenticated || s == Authenticated || s == Selected
	case Fetch:
		return s == Selected
	}
	return s == Idle
}

// bytes returns what is sent to s, and how the last line of the answer begins.
func (c Command) bytes(s *session) (text, last string) {
	switch c {
	case DoneIdle:
		s.idle = s.tag()
		return "DONE\r\n" + s.idle + " IDLE\r\n", "+"
	case Fetch:
		tag := s.tag()
		return tag + " FETCH 1 (FLAGS)\r\n", tag + " "
	case DoneFetch:
		tag := s.tag()
		return "DONE\r\n" + tag + " FETCH 1 (FLAGS)\r\n", tag + " "
	}
	tag := s.tag()
	return tag + " NOOP\r\n", tag + " "
}

// Waking says how sessions are woken.
type Waking struct {
	Command Command
	Clients int           // that each wait for their answer before they wake the next session
	Rate    float64       // sessions per second, at even distances, answered or not; instead of Clients
	For     time.Duration // it ends earlier when every session has been woken once
}

// Woken is how that went. A latency is the time from before the write of the command to after the read of its whole answer.
type Woken struct {
	Latencies Latencies
	Took      time.Duration
	Lost      int
	Error     string        // of one of the lost
	Late      time.Duration // Rate: by how much the client was behind its own schedule at worst
	Left      int           // Rate: answers that had not come when Patience was over
}

// Wake wakes sessions one after the other, each once at most, going on where the last Wake ended: so that every session has slept
// for as long as possible.
func (h *Herd) Wake(w Waking) Woken {
	queue := h.queue(w.Command)
	var r Woken
	if w.Rate > 0 {
		r = h.wakeAtRate(w, queue)
	} else {
		r = h.wakeInTurn(w, queue)
	}
	if w.Command == DoneFetch {
		h.idleAgain()
	}
	for i := range h.sessions {
		if s := &h.sessions[i]; s.err != nil {
			r.Lost++
			if r.Error == "" {
				r.Error = fmt.Sprintf("session %d (%s): %v", i+1, s.state, s.err)
			}
		}
	}
	return r
}

// queue returns the sessions that a command can wake, beginning with the one after the last that was woken.
func (h *Herd) queue(c Command) []*session {
	var q []*session
	for k := range h.sessions {
		s := &h.sessions[(h.next+k)%len(h.sessions)]
		if s.err == nil && c.takes(s.state) {
			q = append(q, s)
		}
	}
	return q
}

// woke remembers that the sessions up to s were woken.
func (h *Herd) woke(s *session) {
	for i := range h.sessions {
		if &h.sessions[i] == s {
			h.next = (i + 1) % len(h.sessions)
		}
	}
}

func (h *Herd) wakeInTurn(w Waking, queue []*session) Woken {
	start := time.Now()
	end := start.Add(w.For)
	var at atomic.Int64
	all := make([]Latencies, max(w.Clients, 1))
	var wg sync.WaitGroup
	for n := range all {
		wg.Go(func() {
			scratch := make([]byte, 16<<10)
			for time.Now().Before(end) {
				i := int(at.Add(1)) - 1
				if i >= len(queue) {
					return
				}
				s := queue[i]
				text, last := w.Command.bytes(s)
				sent := time.Now()
				if s.err = s.send(&h.traffic, text); s.err != nil {
					continue
				}
				line, err := s.until(&h.traffic, scratch, last)
				took := time.Since(sent)
				if err == nil {
					err = refused([]byte(line))
				}
				if s.err = err; err == nil {
					all[n] = append(all[n], took)
				}
			}
		})
	}
	wg.Wait()
	r := Woken{Took: time.Since(start)}
	for _, l := range all {
		r.Latencies = append(r.Latencies, l...)
	}
	if n := min(int(at.Load()), len(queue)); n > 0 {
		h.woke(queue[n-1])
	}
	return r
}

// idleAgain begins IDLE in all sessions that DoneFetch has taken out of it.
func (h *Herd) idleAgain() {
	_ = h.each(h.o.Clients, func(i int, scratch []byte) error {
		s := &h.sessions[i]
		if s.err == nil && s.state == Idle && s.idle != fmt.Sprintf("t%d", s.tags) {
			s.err = s.settle(&h.traffic, scratch)
		}
		return nil
	})
}

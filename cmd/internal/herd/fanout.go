package herd

import (
	"bytes"
	"time"
)

// Heard is who has got a line.
type Heard struct {
	Sessions int           // that got it
	First    time.Duration // when the first did, on the clock of Now
	Last     time.Duration // when the last did
	Missing  int           // sessions in IDLE that did not, before Patience was over
}

// Listen begins to read what comes to the sessions in IDLE. Await ends it.
func (h *Herd) Listen() {
	result := make(chan Heard, 1)
	h.heard = result
	waiting := map[*session]bool{}
	for i := range h.sessions {
		if s := &h.sessions[i]; s.err == nil && s.state == Idle {
			waiting[s] = true
		}
	}
	var heard Heard
	scratch := make([]byte, 16<<10)
	listen := func(s *session) {
		err := s.receive(&h.traffic, scratch)
		if err != nil {
			s.err = err
			delete(waiting, s)
			heard.Missing++
			return
		}
		// A keep-alive is no news.
		news := false
		for line := range bytes.Lines(s.buf) {
			news = news || bytes.HasSuffix(line, []byte("\r\n")) && !bytes.HasPrefix(line, []byte("* OK Still here"))
		}
		if news && waiting[s] {
			delete(waiting, s)
			heard.Sessions++
			heard.Last = Now()
			if heard.First == 0 {
				heard.First = heard.Last
			}
		}
		if bytes.HasSuffix(s.buf, []byte("\n")) {
			s.buf = nil
		}
	}
	go func() { // ends when all have heard, or Patience is over
		end := time.Now().Add(Patience)
		for len(waiting) > 0 && time.Now().Before(end) {
			h.events(20, listen)
		}
		heard.Missing += len(waiting)
		result <- heard
	}()
}

// Await returns when all sessions in IDLE have got a line since Listen, or Patience is over.
func (h *Herd) Await() Heard { return <-h.heard }

package herd

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
)

// Told is how Tell went.
type Told struct {
	Asked int    // sessions whose mailbox was changed
	Wrong int    // of these, sessions that were not told, or told something else: they are lost
	Error string // of one of these
}

// Tell appends a message to the mailbox of about n sessions that have one selected, spread over the herd, and expunges it again, from
// another session. Each is to be told of both: in IDLE at once, else as it sends NOOP.
func (h *Herd) Tell(n int) (Told, error) {
	var told Told
	var some []int
	for i := range h.sessions {
		if s := &h.sessions[i]; s.err == nil && (s.state == Selected || s.state == Idle || s.state == Compressed) {
			some = append(some, i)
		}
	}
	n = min(n, len(some))
	scratch := make([]byte, 16<<10)
	for k := range n {
		i := some[k*len(some)/n]
		s := &h.sessions[i]
		wrong, err := h.tell(s, i, scratch)
		if err != nil {
			return told, fmt.Errorf("changing the mailbox of session %d (%s): %w", i+1, h.o.user(i), err)
		}
		told.Asked++
		if wrong != nil {
			s.err = wrong
			told.Wrong++
			told.Error = fmt.Sprintf("session %d (%s, %s): %v", i+1, h.o.user(i), s.state, wrong)
		}
	}
	return told, nil
}

// tell is Tell for one session, whose failure is wrong. err is one of the session that changes the mailbox.
func (h *Herd) tell(s *session, i int, scratch []byte) (wrong, err error) {
	addr, err := netip.ParseAddrPort(h.o.Addr)
	if err != nil {
		return nil, err
	}
	w := &session{}
	defer w.close()
	if w.stream.fd, err = dial(addr, source(h.o.Network, i), socketOptions{}); err != nil {
		w.stream.fd = 0
		return nil, err
	}
	if _, err := w.until(&h.traffic, scratch, "* OK"); err != nil {
		return nil, err
	}
	if err := w.command(&h.traffic, scratch, "LOGIN "+h.o.user(i)+" pass"); err != nil {
		return nil, err
	}
	const text = "Subject: news\r\n\r\ntext\r\n"
	tag := w.tag()
	if err := w.send(&h.traffic, fmt.Sprintf("%s APPEND %s {%d+}\r\n%s\r\n", tag, h.o.Mailbox, len(text), text)); err != nil {
		return nil, err
	}
	line, err := w.until(&h.traffic, scratch, tag+" OK [APPENDUID ")
	if err != nil {
		return nil, err
	}
	uid, _, _ := strings.Cut(strings.Fields(line)[4], "]") // tag OK [APPENDUID validity uid] (RFC 4315 §3)
	if wrong = s.hears(&h.traffic, scratch, " EXISTS"); wrong != nil {
		wrong = fmt.Errorf("of the new message: %w", wrong)
	}
	for _, c := range []string{"SELECT " + h.o.Mailbox, "UID STORE " + uid + ` +FLAGS.SILENT (\Deleted)`, "UID EXPUNGE " + uid} {
		if err := w.command(&h.traffic, scratch, c); err != nil {
			return wrong, err
		}
	}
	if wrong == nil {
		if wrong = s.hears(&h.traffic, scratch, " EXPUNGE"); wrong != nil {
			wrong = fmt.Errorf("of the expunged message: %w", wrong)
		}
	}
	return wrong, nil
}

// hears waits until the session is told the untagged response that ends with suffix.
func (s *session) hears(t *traffic, scratch []byte, suffix string) error {
	if s.state == Idle {
		_, err := s.find(t, scratch, func(line []byte) bool { return bytes.HasSuffix(line, []byte(suffix)) })
		return err
	}
	tag := s.tag()
	if err := s.send(t, tag+" NOOP\r\n"); err != nil {
		return err
	}
	told := false
	line, err := s.find(t, scratch, func(line []byte) bool {
		told = told || bytes.HasSuffix(line, []byte(suffix))
		return bytes.HasPrefix(line, []byte(tag+" "))
	})
	if err == nil && !told {
		err = fmt.Errorf("NOOP is answered with %q, and nothing that ends with %q before", line, suffix)
	}
	return err
}

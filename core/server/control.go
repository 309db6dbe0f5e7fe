package server

import (
	"bufio"
	"cmp"
	"encoding/json"
	"net"
	"slices"
	"time"

	"github.com/roostmail/roost/core/keeper"
	"github.com/roostmail/roost/core/session"
)

// SessionReport is a session as "roost sessions" shows it. Of one that is in a command just now, only ID and Busy are known.
type SessionReport struct {
	ID         uint64
	Busy       bool      `json:",omitempty"`
	User       string    `json:",omitempty"` // "" = not logged in
	Master     string    `json:",omitempty"` // the master user who has logged in as User
	Address    string    `json:",omitempty"`
	State      string    `json:",omitempty"`
	Mailbox    string    `json:",omitempty"`
	Since      time.Time `json:",omitzero"` // of its last input: it has been asleep from then on
	TLS        bool      `json:",omitempty"`
	Compressed bool      `json:",omitempty"`
	Bytes      int       `json:",omitempty"` // of its record and what is kept with it, without user and mailbox
}

// UserReport is what the sessions of a user come to.
type UserReport struct {
	User     string
	Sessions int
	Bytes    int
	Last     time.Time // input of any of them
}

// TopReport is what "roost top" shows.
type TopReport struct {
	Version string
	Started time.Time
	Figures map[string]float64 // the metrics without labels, without "roost_"
	Users   []UserReport       // those with most sessions, of which those in a command just now are left out
}

// ControlReply is a line of an answer. Exactly one member is set; the last line is Done or an Error.
type ControlReply struct {
	Session  *SessionReport `json:",omitempty"`
	Top      *TopReport     `json:",omitempty"`
	Draining *int           `json:",omitempty"` // sessions that are left
	Plugin   *PluginReport  `json:",omitempty"`
	Log      *PluginLog     `json:",omitempty"`
	Left     *Unapplied     `json:",omitempty"` // after a reload
	Error    string         `json:",omitempty"`
	Done     bool           `json:",omitempty"`
}

// replyTimeout bounds how long an operator's command may take to read a part of the answer, drainReport is the pause between two reports.
const (
	replyTimeout = 10 * time.Second
	drainReport  = 200 * time.Millisecond
)

// Answer answers an operator's request, in the background. It returns true for one to drain: the caller calls Drain then, while
// the answer reports.
func (s *Server) Answer(a keeper.Asked) (drain bool) {
	s.answers.Go(func() { // ends with the answer, which replyTimeout bounds, or with Close
		defer a.Conn.Close()
		w := &replies{conn: a.Conn, b: bufio.NewWriterSize(a.Conn, 64<<10)}
		switch a.Op {
		case keeper.OpSessions:
			s.reportSessions(w, a.User)
		case keeper.OpTop:
			w.put(ControlReply{Top: s.top(a.Users)})
		case keeper.OpDrain:
			s.reportDrain(w)
		default:
			s.answerPlugin(w, a)
		}
		w.put(ControlReply{Done: true})
		w.flush()
	})
	return a.Op == keeper.OpDrain
}

// AnswerReload tells an operator what came of Reload.
func (s *Server) AnswerReload(a keeper.Asked, left Unapplied, err error) {
	s.answers.Go(func() { // ends with the answer, which replyTimeout bounds
		defer a.Conn.Close()
		w := &replies{conn: a.Conn, b: bufio.NewWriterSize(a.Conn, 4<<10)}
		if err != nil {
			w.put(ControlReply{Error: err.Error()})
		} else {
			w.put(ControlReply{Left: &left})
			w.put(ControlReply{Done: true})
		}
		w.flush()
	})
}

// stopAnswers ends answers, and returns when the last has ended.
func (s *Server) stopAnswers() {
	s.stopOnce.Do(func() { close(s.stopped) })
	s.answers.Wait()
}

// replies writes lines. After an error it writes nothing: who asked has gone.
type replies struct {
	conn net.Conn
	b    *bufio.Writer
	err  error
}

func (w *replies) put(r ControlReply) {
	if w.err != nil {
		return
	}
	line, err := json.Marshal(r)
	if err == nil {
		err = w.conn.SetWriteDeadline(time.Now().Add(replyTimeout))
	}
	if err == nil {
		_, err = w.b.Write(append(line, '\n'))
	}
	w.err = err
}

func (w *replies) flush() {
	if w.err == nil {
		w.err = w.b.Flush()
	}
}

// reportSessions tells all sessions, or those of a user.
func (s *Server) reportSessions(w *replies, user string) {
	s.engine.Each(func(i session.Info) bool {
		if user != "" && !s.protocol.IsUser(i.State.User, user) {
			return !s.ending() && w.err == nil
		}
		r := SessionReport{ID: uint64(i.Handle), Busy: i.Busy}
		if !i.Busy {
			d := s.protocol.Describe(i)
			r = SessionReport{ID: uint64(i.Handle), User: d.User, Master: d.Master, Address: i.Remote.String(), State: d.State, Mailbox: d.Mailbox,
				Since: i.Received, TLS: i.TLS, Compressed: i.Compressed, Bytes: i.Bytes}
		}
		w.put(ControlReply{Session: &r})
		return !s.ending() && w.err == nil
	})
}

func (s *Server) ending() bool {
	select {
	case <-s.stopped:
		return true
	default:
		return false
	}
}

// top takes the figures, and looks at every session if users are asked for.
func (s *Server) top(users int) *TopReport {
	t := &TopReport{Version: s.opts.Version, Started: s.started, Figures: map[string]float64{}}
	now := s.stats()
	for _, f := range figures {
		t.Figures[f.name] = f.value(now)
	}
	if users <= 0 {
		return t
	}
	sums := map[uint32]*UserReport{}
	s.engine.Each(func(i session.Info) bool {
		if i.Busy {
			return true
		}
		u := sums[i.State.User]
		if u == nil {
			u = &UserReport{}
			sums[i.State.User] = u
		}
		u.Sessions++
		u.Bytes += i.Bytes
		if i.Received.After(u.Last) {
			u.Last = i.Received
		}
		return !s.ending()
	})
	delete(sums, 0) // not logged in: Figures has their number
	byName := map[string]*UserReport{}
	for id, u := range sums { // a user with several sets of fields from auth has several ids
		u.User = s.protocol.UserName(id)
		if other := byName[u.User]; other != nil {
			other.Sessions, other.Bytes = other.Sessions+u.Sessions, other.Bytes+u.Bytes
			if u.Last.After(other.Last) {
				other.Last = u.Last
			}
			continue
		}
		byName[u.User] = u
	}
	for _, u := range byName {
		t.Users = append(t.Users, *u)
	}
	slices.SortFunc(t.Users, func(a, b UserReport) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.User, b.User))
	})
	t.Users = t.Users[:min(users, len(t.Users))]
	return t
}

// reportDrain tells how many sessions are left until there are none, or the server ends without waiting for them.
func (s *Server) reportDrain(w *replies) {
	tick := time.NewTicker(drainReport)
	defer tick.Stop()
	for {
		last := s.ending()
		n := s.engine.Stats().Sessions
		w.put(ControlReply{Draining: &n})
		w.flush()
		if n == 0 || w.err != nil || last {
			return
		}
		select {
		case <-tick.C:
		case <-s.stopped:
		}
	}
}

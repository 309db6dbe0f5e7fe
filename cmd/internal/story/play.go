package story

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Server is what a story is played on. All its users have the password "pass".
type Server struct {
	Name string // one of Servers
	Addr string
	Root string // the directory that has testdata

	Patience time.Duration // 0: the constant
}

// ErrNotThere is Play's answer for a server that lacks a capability which the story needs.
var ErrNotThere = errors.New("not announced")

// player is a story while it is played.
type player struct {
	s       *Story
	srv     Server
	v       values
	conns   map[string]*conn
	order   []string // of conns
	packet  []byte   // waits to be sent
	packeto string   // on this connection
}

// Play plays the story. Its errors name file and line, what came and what was to come.
func (s *Story) Play(srv Server) error {
	p := &player{s: s, srv: srv, v: values{}, conns: map[string]*conn{}}
	for n := 1; n <= Users; n++ {
		name := "user"
		if n > 1 {
			name = fmt.Sprintf("user%d", n)
		}
		p.v[name] = s.User(n)
	}
	defer func() {
		for _, c := range p.conns {
			c.Close()
		}
	}()
	if err := p.prepare(); err != nil {
		return fmt.Errorf("%s: before the story: %w", s.File, err)
	}
	var steps []step
	for _, st := range s.steps {
		if st.server == "" || st.server == srv.Name {
			steps = append(steps, st)
		}
	}
	for i := 0; i < len(steps); i++ {
		last := i
		for set(steps[i]) && last+1 < len(steps) && set(steps[last+1]) && steps[last+1].conn == steps[i].conn {
			last++
		}
		if err := p.step(steps[i : last+1]); err != nil {
			return fmt.Errorf("%s:%d: on %s: %w", s.File, steps[i].line, srv.Name, err)
		}
		i = last
	}
	if err := p.flush(); err != nil {
		return fmt.Errorf("%s: on %s: %w", s.File, srv.Name, err)
	}
	for _, who := range p.order {
		if err := p.conns[who].end(); err != nil {
			return fmt.Errorf("%s: on %s: connection %s: %w", s.File, srv.Name, who, err)
		}
	}
	return nil
}

// set tells whether the step is part of a set.
func set(st step) bool { return st.kind == stepAny || st.kind == stepAnyMaybe }

// prepare makes sure that the server can do what the story needs, and appends its mail.
func (p *player) prepare() error {
	if len(p.s.Needs) == 0 && len(p.s.Mail) == 0 {
		return nil
	}
	c, err := dial(p.srv)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.login(p.s.User(1)); err != nil {
		return err
	}
	untagged, err := c.command("a CAPABILITY")
	if err != nil {
		return err
	}
	var caps []string
	for _, u := range untagged {
		caps = append(caps, strings.Fields(strings.ToUpper(u))...)
	}
	for _, need := range p.s.Needs {
		if !slices.Contains(caps, strings.ToUpper(need)) {
			return fmt.Errorf("%s: %w", need, ErrNotThere)
		}
	}
	made := map[string]bool{"INBOX": true}
	for _, m := range p.s.Mail {
		if !made[m.Mailbox] {
			made[m.Mailbox] = true
			if _, err := c.command("a CREATE " + m.Mailbox); err != nil {
				return err
			}
		}
		text, err := Message(p.srv.Root, m.File)
		if err != nil {
			return err
		}
		args := m.Mailbox + " (" + strings.Join(m.Flags, " ") + ")"
		if !m.Date.IsZero() {
			args += m.Date.Format(` "_2-Jan-2006 15:04:05 -0700"`)
		}
		for range m.Copies {
			if _, err := c.command(fmt.Sprintf("a APPEND %s {%d+}\r\n%s", args, len(text), text)); err != nil {
				return err
			}
		}
	}
	_, err = c.command("a LOGOUT")
	return err
}

// step plays a step, or all steps of a set.
func (p *player) step(steps []step) error {
	st := steps[0]
	if st.kind == stepSend || st.kind == stepSendPart {
		return p.add(st)
	}
	if err := p.flush(); err != nil {
		return err
	}
	if st.kind == stepConnect {
		user, err := expand(p.srv.Root, st.text, p.v)
		if err != nil {
			return err
		}
		return p.connect(st.conn, user)
	}
	c, err := p.conn(st.conn)
	if err != nil {
		return err
	}
	switch st.kind {
	case stepEOF:
		return c.eof()
	case stepDeflate:
		return c.deflate()
	case stepTLS:
		return c.protect()
	case stepSkip:
		return p.skip(c, st.text)
	case stepMaybe:
		return p.maybe(c, st.text)
	case stepAny, stepAnyMaybe:
		return p.any(c, steps)
	}
	return p.want(c, st.text)
}

// add puts a line to what is to be sent: lines for one connection go as one packet.
func (p *player) add(st step) error {
	if p.packeto != st.conn {
		if err := p.flush(); err != nil {
			return err
		}
	}
	text, err := expand(p.srv.Root, st.text, p.v)
	if err != nil {
		return err
	}
	p.packeto = st.conn
	p.packet = append(p.packet, text...)
	if st.kind == stepSend {
		p.packet = append(p.packet, '\r', '\n')
	}
	return nil
}

func (p *player) flush() error {
	if len(p.packet) == 0 {
		return nil
	}
	c, err := p.conn(p.packeto)
	if err != nil {
		return err
	}
	err = c.send(p.packet)
	p.packet = nil
	return err
}

// conn returns a connection, which is opened and logged in when it is first used.
func (p *player) conn(who string) (*conn, error) {
	if p.conns[who] == nil {
		user := p.s.User(1)
		if p.s.Raw {
			user = "raw"
		}
		if err := p.connect(who, user); err != nil {
			return nil, err
		}
	}
	return p.conns[who], nil
}

func (p *player) connect(who, user string) error {
	if old := p.conns[who]; old != nil {
		if err := old.end(); err != nil {
			return fmt.Errorf("connection %s: %w", who, err)
		}
	} else {
		p.order = append(p.order, who)
	}
	c, err := dial(p.srv)
	if err != nil {
		return err
	}
	p.conns[who] = c
	if user == "raw" {
		return nil
	}
	return c.login(user)
}

func (p *player) want(c *conn, text string) error {
	pat, err := compile(text, p.v)
	if err != nil {
		return err
	}
	l, err := c.line()
	if err == nil && !pat.match(l, p.v) {
		err = mismatch(l, text)
	}
	return err
}

func mismatch(got, want string) error { return fmt.Errorf("\n\tgot  %s\n\twant %s", got, want) }

// skip passes over lines until one is as expected. A tagged response with the tag of that line must be that line.
func (p *player) skip(c *conn, text string) error {
	pat, err := compile(text, p.v)
	if err != nil {
		return err
	}
	tag, _, _ := strings.Cut(text, " ")
	for {
		l, err := c.line()
		switch {
		case err != nil:
			return err
		case pat.match(l, p.v):
			return nil
		case tag != "*" && strings.HasPrefix(l, tag+" "), strings.HasPrefix(l, "* BYE"):
			return mismatch(l, text)
		}
	}
}

func (p *player) maybe(c *conn, text string) error {
	pat, err := compile(text, p.v)
	if err != nil {
		return err
	}
	l, err := c.peek()
	if err == nil && pat.match(l, p.v) {
		_, err = c.line()
	}
	return err
}

// any reads the lines of a set in whichever order they come. While one is left that may be missing, the line that ends the set is looked at.
func (p *player) any(c *conn, left []step) error {
	left = slices.Clone(left)
next:
	for len(left) > 0 {
		l, err := c.peek()
		if err != nil {
			return err
		}
		for i, st := range left {
			pat, err := compile(st.text, p.v)
			if err != nil {
				return err
			}
			if pat.match(l, p.v) {
				left = slices.Delete(left, i, i+1)
				if _, err := c.line(); err != nil {
					return err
				}
				continue next
			}
		}
		if i := slices.IndexFunc(left, func(st step) bool { return st.kind == stepAny }); i < 0 {
			return nil
		}
		var want []string
		for _, st := range left {
			want = append(want, st.text)
		}
		return mismatch(l, "one of:\n\t     "+strings.Join(want, "\n\t     "))
	}
	return nil
}

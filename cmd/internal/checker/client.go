package checker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"time"
)

// client is one connection after the other of one user. It is for one goroutine.
type client struct {
	cfg    *Config
	server Server
	name   string
	rng    *rand.Rand
	m      *model
	conn   *conn
	trace  trace
	tags   int
	sent   int // messages

	// What the client has kept of the mailbox, to come back with (RFC 7162 §3.2.5).
	kept        map[uint32]message
	complete    bool
	keptHighest uint64

	done map[string]int // commands by name
	lost int            // connections that the server has ended
}

// errLost means that the connection is gone, as it may be.
var errLost = errors.New("connection lost")

// Contradiction is what a server must not have said.
type Contradiction struct {
	Client string
	What   error
	Trace  string // of the connection, the last lines
}

func (c *Contradiction) Error() string {
	return fmt.Sprintf("%s: %v\n%s", c.Client, c.What, c.Trace)
}

func (c *client) contradiction(err error) error {
	return &Contradiction{Client: c.name, What: err, Trace: c.trace.String()}
}

// connect logs in, and enables some of what there is.
func (c *client) connect() error {
	conn, err := dial(c.server.Addr)
	if err != nil {
		return err
	}
	c.conn, c.m = conn, &model{recent: -1, world: c.cfg.world, uidValidity: c.cfg.world.uidValidity()}
	c.trace.add("-- new connection")
	if _, ok, err := conn.receive(patience); err != nil || !ok {
		return c.dropped(err)
	}
	if _, err := c.run(&command{name: "LOGIN", text: fmt.Sprintf("LOGIN %s pass", c.cfg.User)}); err != nil {
		return err
	}
	if err := c.enable(); err != nil {
		return err
	}
	if c.server.Judged && c.rng.IntN(4) == 0 {
		if err := c.compress(); err != nil {
			return err
		}
	}
	if c.server.Judged && c.rng.IntN(5) == 0 && slices.Contains(c.server.capabilities, "NOTIFY") {
		cmd := &command{name: "NOTIFY", text: "NOTIFY SET (SELECTED (MessageNew MessageExpunge FlagChange))"}
		if answer, err := c.run(cmd); err != nil {
			return err
		} else if strings.HasPrefix(answer, "OK") {
			c.m.notify = true
		}
	}
	return c.choose()
}

// enable turns extensions on, each with its own chance.
func (c *client) enable() error {
	for _, e := range []struct {
		name string
		one  int // of so many clients
		on   func()
	}{
		{"CONDSTORE", 4, func() { c.m.condstore = true }},
		{"QRESYNC", 2, func() { c.m.condstore, c.m.qresync = true, true }},
		{"IMAP4rev2", 4, func() { c.m.rev2 = true }},
		{"UIDONLY", 6, func() { c.m.uidOnly = true }},
	} {
		if c.rng.IntN(e.one) > 0 {
			continue
		}
		if _, err := c.run(&command{name: "ENABLE", text: "ENABLE " + e.name}); err != nil {
			return err
		}
		if slices.Contains(c.m.enabled, strings.ToUpper(e.name)) {
			e.on()
		}
	}
	return nil
}

func (c *client) compress() error {
	cmd := &command{name: "COMPRESS", text: "COMPRESS DEFLATE"}
	c.conn.compressAfter(c.nextTag())
	answer, err := c.run(cmd)
	if err == nil && strings.HasPrefix(answer, "OK") {
		c.conn.compressed()
	}
	return err
}

// hangUp ends the connection.
func (c *client) hangUp() {
	if c.conn != nil {
		c.conn.close()
		c.conn = nil
	}
}

// nextTag returns the tag of the next command.
func (c *client) nextTag() string { return fmt.Sprintf("%s%d", c.name, c.tags+1) }

// run sends a command and waits for its answer, whose text without the tag is returned.
func (c *client) run(cmd *command) (answer string, err error) {
	if err := c.send(cmd); err != nil {
		return "", err
	}
	return cmd.final, c.wait(func() bool { return cmd.final != "" }, cmd)
}

// send sends a command.
func (c *client) send(cmd *command) error {
	cmd.tag = c.nextTag()
	c.tags++
	if !c.cfg.ModSeqsGoBack {
		cmd.floor = c.m.world.floor()
	}
	c.m.sent(cmd)
	c.done[cmd.name]++
	c.trace.add("C: " + cmd.tag + " " + cmd.text)
	if err := c.conn.send([]byte(cmd.tag + " " + cmd.text + "\r\n")); err != nil {
		return c.dropped(err)
	}
	return nil
}

// refusals are the answers other than OK that other clients may cause.
var refusals = regexp.MustCompile(`^NO \[(EXPUNGEISSUED|NOTSAVED|LIMIT|UNAVAILABLE|INUSE)\b`)

// wait takes responses in until done.
func (c *client) wait(done func() bool, cmds ...*command) error {
	for !done() {
		line, ok, err := c.conn.receive(patience)
		switch {
		case err != nil:
			return c.dropped(err)
		case !ok:
			return c.contradiction(errSilence)
		}
		if err := c.take(line); err != nil {
			return err
		}
	}
	for _, cmd := range cmds {
		if cmd.final != "" && !strings.HasPrefix(cmd.final, "OK") && c.server.Judged && !refusals.MatchString(cmd.final) {
			return c.contradiction(fmt.Errorf("%s: %s", cmd.text, cmd.final))
		}
		if strings.HasPrefix(cmd.final, "NO [UNAVAILABLE") && !c.cfg.Tolerant && c.server.Judged {
			return c.contradiction(fmt.Errorf("%s: %s", cmd.text, cmd.final))
		}
	}
	return nil
}

// take takes a response in. What a server says that is not judged is no contradiction.
func (c *client) take(line []byte) error {
	c.trace.add("S: " + string(line))
	err := c.m.take(line)
	if err != nil && c.server.Judged {
		return c.contradiction(err)
	}
	return nil
}

// dropped is called when the connection ends.
func (c *client) dropped(err error) error {
	c.conn.close()
	c.conn, c.kept = nil, nil
	c.lost++
	if c.server.Judged && !c.cfg.Tolerant {
		return c.contradiction(fmt.Errorf("connection lost: %v %s", err, c.m.bye))
	}
	c.trace.add(fmt.Sprintf("-- connection lost: %v %s", err, c.m.bye))
	return errLost
}

// choose selects the mailbox, with what is still known of it if the client may come back with that.
func (c *client) choose() error {
	cmd := &command{name: "SELECT", mailbox: "INBOX", text: "SELECT INBOX"}
	if c.rng.IntN(8) == 0 {
		cmd.name, cmd.text = "EXAMINE", "EXAMINE INBOX"
	}
	switch {
	case c.m.qresync && c.kept != nil && c.keptHighest > 0:
		cmd.resync, cmd.complete, cmd.vanishedOld = c.kept, c.complete, true
		cmd.text += fmt.Sprintf(" (QRESYNC (%d %d%s))", c.m.uidValidity, c.keptHighest, c.knownUIDs())
	case c.rng.IntN(4) == 0:
		cmd.text += " (CONDSTORE)"
	}
	c.kept = nil
	if _, err := c.run(cmd); err != nil {
		return err
	}
	c.cfg.world.setUIDValidity(c.m.uidValidity)
	return nil
}

// knownUIDs returns the parameter known-uids, or none.
func (c *client) knownUIDs() string {
	if len(c.kept) == 0 || !c.complete || c.rng.IntN(2) == 0 {
		return ""
	}
	most := uint32(0)
	for uid := range c.kept {
		most = max(most, uid)
	}
	return fmt.Sprintf(" 1:%d", most+1000) // new messages are to be told, too
}

// keep notes what the client knows, before it leaves the mailbox: only with QRESYNC is HIGHESTMODSEQ told where it has to be.
func (c *client) keep() {
	if c.kept = nil; !c.m.qresync {
		return
	}
	c.kept, c.complete = c.m.remembered()
	c.keptHighest = c.m.highest
}

// settle ends what goes on, and selects the mailbox if none is.
func (c *client) settle() error {
	for {
		if c.conn == nil {
			if err := c.connect(); errors.Is(err, errLost) {
				continue
			} else if err != nil {
				return err
			}
		}
		if c.m.mailbox != "" && !c.m.readOnly {
			return nil
		}
		c.kept = nil
		if _, err := c.run(&command{name: "SELECT", mailbox: "INBOX", text: "SELECT INBOX"}); err != nil && !errors.Is(err, errLost) {
			return err
		}
	}
}

// retried runs a command until it is not refused for a moment.
func (c *client) retried(make func() *command) error {
	for range 200 {
		if err := c.settle(); err != nil {
			return err
		}
		answer, err := c.run(make())
		switch {
		case errors.Is(err, errLost):
		case err != nil:
			return err
		case strings.HasPrefix(answer, "OK"):
			return nil
		}
	}
	return c.contradiction(fmt.Errorf("%s is refused again and again", make().text))
}

// idle lets the server tell what it wants for a moment.
func (c *client) idle() error {
	cmd := &command{name: "IDLE", text: "IDLE"}
	if err := c.send(cmd); err != nil {
		return err
	}
	if err := c.wait(func() bool { return c.m.idling || cmd.final != "" }, cmd); err != nil || cmd.final != "" {
		return err
	}
	until := time.Now().Add(time.Duration(c.rng.IntN(30)) * time.Millisecond)
	for time.Now().Before(until) {
		line, ok, err := c.conn.receive(time.Until(until))
		if err != nil {
			return c.dropped(err)
		}
		if ok {
			if err := c.take(line); err != nil {
				return err
			}
		}
	}
	c.m.position()
	c.trace.add("C: DONE")
	if err := c.conn.send([]byte("DONE\r\n")); err != nil {
		return c.dropped(err)
	}
	return c.wait(func() bool { return cmd.final != "" }, cmd)
}

package traffic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// client is one client. It is for one goroutine.
type client struct {
	cfg     *Config
	server  Server
	ledger  *Ledger
	names   *names
	id      string
	rng     *rand.Rand
	conn    *rig.Client
	box     string // selected, "" = none
	tokens  int
	own     ownMailbox
	ownName string
}

// errLost means that the connection is gone.
var errLost = errors.New("connection lost")

func (c *client) work(ctx context.Context) {
	for ctx.Err() == nil {
		if c.conn == nil {
			conn, err := rig.Login(c.server.Addr, c.cfg.User)
			if err != nil {
				if !c.cfg.Tolerant {
					c.ledger.problem("%s: login: %v", c.id, err)
				}
				continue
			}
			c.conn, c.box = conn, ""
		}
		if err := c.step(); errors.Is(err, errLost) {
			c.conn.Close()
			c.conn = nil
		}
	}
	if c.conn != nil {
		c.conn.Close()
	}
}

// cmd runs a command. The error is errLost or a *rig.Refused.
func (c *client) cmd(format string, args ...any) ([][]byte, error) {
	lines, _, err := c.run(format, args...)
	return lines, err
}

// run is cmd that returns the text of the tagged answer too.
func (c *client) run(format string, args ...any) (lines [][]byte, final string, err error) {
	tag, err := c.conn.Start(format, args...)
	text := fmt.Sprintf(format, args...)
	name, _, _ := strings.Cut(strings.TrimPrefix(text, "UID "), " ")
	var answer []byte
	if err == nil {
		lines, answer, err = c.conn.Until(tag)
	}
	if err != nil {
		c.trace(text, err.Error())
		c.lost(name, err)
		return lines, "", errLost
	}
	final = string(answer)
	c.trace(text, final)
	if strings.HasPrefix(final, "OK") {
		c.ledger.count(name, "")
		return lines, final, nil
	}
	c.refused(name, text, final)
	return lines, final, &rig.Refused{Command: text, Answer: final}
}

// trace writes what was asked and answered to Config.Trace.
func (c *client) trace(command, answer string) {
	if c.cfg.Trace != nil {
		fmt.Fprintf(c.cfg.Trace, "%s %s %q %.2000q: %.200q\n", time.Now().Format("15:04:05.000000"), c.id, c.box, command, answer)
	}
}

// lost notes the end of a connection, which is right only when the server said why, or when processes are killed.
func (c *client) lost(name string, err error) {
	c.ledger.count(name, "connection: "+strings.Join(strings.Fields(err.Error())[:1], ""))
	if !c.cfg.Tolerant && !strings.Contains(err.Error(), "BYE") {
		c.ledger.problem("%s: %s in %q: %v", c.id, name, c.box, err)
	}
}

var expected = regexp.MustCompile(`^NO .*(TRYCREATE|NONEXISTENT|ALREADYEXISTS|doesn't exist|does not exist|exists|EXPUNGEISSUED|was deleted|been expunged|deleted under us|UNAVAILABLE|No such mailbox|renamed)`)

var notThere = regexp.MustCompile(`NONEXISTENT|doesn't exist|does not exist`)

// freed is Dovecot's answer to COPY and MOVE when a mailbox vanishes: a text that is not in memory any more, of which any
// bytes may be left, or none: often a pointer of the heap's free list, the highest of whose six bytes is 0x55 or 0x56, and which may be printable.
var freed = regexp.MustCompile(`^NO ((.{5}[UV])?( \(.*)?|[^ -~].*|.*[^ -~].*)$`)

func (c *client) isDovecot() bool { return c.server.Name != "r" && c.server.Name != "roost" }

// refused notes a refusal: those that other clients cause are right.
func (c *client) refused(name, text, final string) {
	c.ledger.count(name, final)
	dovecotForgot := c.isDovecot() && (name == "COPY" || name == "MOVE") && freed.MatchString(final)
	if !expected.MatchString(final) && !dovecotForgot && !(c.cfg.DiskFull && strings.HasPrefix(final, "NO [OVERQUOTA]")) {
		c.ledger.problem("%s: %.100q in %q: %s", c.id, text, c.box, final)
	}
}

func (c *client) step() error {
	switch {
	case c.box == c.ownName && c.rng.IntN(8) > 0:
		return c.stepOwn()
	case c.box != c.ownName && c.rng.IntN(16) == 0:
		return c.choose(c.ownName)
	case c.box == "" || c.box == c.ownName || c.rng.IntN(8) == 0:
		return c.choose(c.names.pick(c.rng))
	}
	switch n := c.rng.IntN(100); {
	case n < 24:
		return c.appendMail()
	case n < 42:
		return c.store()
	case n < 52:
		return c.copy("COPY")
	case n < 62:
		return c.copy("MOVE")
	case n < 74:
		return c.expunge()
	case n < 90:
		return c.fetch()
	case n < 93:
		return c.create()
	case n < 96:
		return c.rename()
	}
	_, err := c.cmd("NOOP")
	return err
}

func (c *client) choose(name string) error {
	c.box = ""
	_, err := c.cmd("SELECT %q", name)
	if err == nil {
		c.box = name
	}
	return err
}

// token returns a new token.
func (c *client) token(class string) string {
	c.tokens++
	return fmt.Sprintf("%s-%s-%d", class, c.id, c.tokens)
}

func (c *client) appendMail() error {
	n := 1
	if c.rng.IntN(6) == 0 {
		n = 2 + c.rng.IntN(3)
	}
	var text strings.Builder
	var kept []string
	for range n {
		class, flags := "keep", pickFlags(c.rng)
		if c.rng.IntN(2) == 0 {
			class, flags = "vol", append(flags, "$Vol")
		}
		token := c.token(class)
		if class == "keep" {
			kept = append(kept, token)
		}
		msg := newMessage(c.rng, token)
		fmt.Fprintf(&text, " (%s) {%d+}\r\n%s", strings.Join(flags, " "), len(msg), msg)
	}
	to := c.names.pick(c.rng)
	defer c.names.hold(to)()
	_, _, err := c.run("APPEND %q%s", to, text.String())
	if err == nil {
		c.ledger.keep(kept)
	}
	return err
}

var flagNames = []string{`\Seen`, `\Flagged`, `\Answered`, `\Draft`, "$K1", "$K2", "$K3", "Work"}

func pickFlags(rng *rand.Rand) (flags []string) {
	for _, f := range flagNames {
		if rng.IntN(4) == 0 {
			flags = append(flags, f)
		}
	}
	return flags
}

// uids returns some UIDs of the selected mailbox that match, as a set; "" = there are none.
func (c *client) uids(key string, most int) (set string, err error) {
	lines, err := c.cmd("UID SEARCH %s", key)
	if err != nil {
		return "", err
	}
	var found []string
	for _, l := range lines {
		if rest, ok := bytes.CutPrefix(l, []byte("* SEARCH ")); ok {
			found = strings.Fields(string(rest))
		}
	}
	if len(found) == 0 {
		return "", nil
	}
	c.rng.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
	return strings.Join(found[:min(len(found), 1+c.rng.IntN(most))], ","), nil
}

func (c *client) store() error {
	defer c.names.hold(c.box)()
	set, err := c.uids("ALL", 6)
	if err != nil || set == "" {
		return err
	}
	mode := []string{"+FLAGS", "-FLAGS", "+FLAGS.SILENT", "FLAGS"}[c.rng.IntN(4)]
	_, err = c.cmd("UID STORE %s %s (%s)", set, mode, strings.Join(pickFlags(c.rng), " "))
	return err
}

func (c *client) copy(name string) error {
	set, err := c.uids("ALL", 4)
	if err != nil || set == "" {
		return err
	}
	to := c.names.pick(c.rng)
	defer c.names.hold(c.box, to)()
	if c.isDovecot() && name == "MOVE" && (to == c.box || !c.names.has(c.box)) {
		// Dovecot's MOVE to the selected mailbox itself, of messages of which somebody has expunged one, says NO [EXPUNGEISSUED]: it takes
		// back the copies, but expunges those messages that it has copied. With one mailbox and two connections that loses them each time.
		name = "COPY"
	}
	_, err = c.cmd("UID %s %s %q", name, set, to)
	return err
}

func (c *client) expunge() error {
	defer c.names.hold(c.box)()
	set, err := c.uids("KEYWORD $Vol", 8)
	if err != nil || set == "" {
		return err
	}
	if _, err := c.cmd(`UID STORE %s +FLAGS.SILENT (\Deleted)`, set); err != nil {
		return err
	}
	if c.rng.IntN(2) == 0 {
		_, err = c.cmd("EXPUNGE")
	} else {
		_, err = c.cmd("UID EXPUNGE %s", set)
	}
	return err
}

func (c *client) fetch() error {
	set, err := c.uids("ALL", 5)
	if err != nil || set == "" {
		return err
	}
	lines, err := c.cmd("UID FETCH %s (FLAGS ENVELOPE RFC822.SIZE BODY.PEEK[])", set)
	if err != nil {
		return err
	}
	answers, err := rig.FetchAnswers(lines)
	if err != nil {
		c.ledger.problem("%s: FETCH in %q: %v", c.id, c.box, err)
		return nil
	}
	for _, items := range answers {
		body, there := items["BODY[]"]
		if !there || body.Nil {
			continue // flags that somebody else changed, or a message that is gone
		}
		token, err := check([]byte(body.Str))
		if err != nil {
			c.ledger.problem("%s: FETCH in %q: %v", c.id, c.box, err)
		}
		if envelope := items["ENVELOPE"]; len(envelope.List) > 1 && envelope.List[1].Str != "about "+token {
			c.ledger.problem("%s: FETCH in %q: message %s has the subject %q", c.id, c.box, token, envelope.List[1].Str)
		}
		if size := items["RFC822.SIZE"].Str; size != strconv.Itoa(len(body.Str)) {
			c.ledger.problem("%s: FETCH in %q: message %s has %d bytes, RFC822.SIZE %s", c.id, c.box, token, len(body.Str), size)
		}
	}
	return nil
}

func (c *client) create() error {
	if c.names.full() {
		return nil
	}
	name := c.names.fresh(c.rng)
	_, err := c.cmd("CREATE %q", name)
	if err == nil {
		c.names.add(name)
	}
	return err
}

func (c *client) rename() error {
	old := c.names.pickMovable(c.rng)
	if old == "" || c.server.KeepNames {
		return nil
	}
	name := c.names.fresh(c.rng)
	c.names.gate.Lock()
	defer c.names.gate.Unlock()
	_, err := c.cmd("RENAME %q %q", old, name)
	switch {
	case err == nil:
		c.names.replace(old, name)
	case notThere.MatchString(err.Error()): // a RENAME whose connection was lost before its answer was done nevertheless
		c.names.drop(old)
	}
	return err
}

package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// tagged is what a tagged response says besides its text.
var tagged = regexp.MustCompile(`^(OK|NO|BAD)( \[[^\]]*\])?`)

// ask sends a command and returns all that comes of it, the tagged response last and without its text.
func ask(t *testing.T, c *rig.Client, command string) [][]byte {
	t.Helper()
	tag, err := c.Start("%s", command)
	must(t, err)
	lines, final, err := c.Until(tag)
	must(t, err)
	for i, l := range lines {
		lines[i] = bytes.ReplaceAll(l, []byte(tag), []byte("TAG"))
	}
	return append(lines, append([]byte("* TAGGED "), tagged.Find(final)...))
}

// resyncStory is told to roost and Dovecot, each with a copy of one mailbox of 12 messages. "2 " is for a second session. V is UIDVALIDITY.
var resyncStory = strings.Split(strings.TrimSpace(`
ENABLE QRESYNC
SELECT INBOX
STORE 2 +FLAGS (\Flagged)
UID STORE 3 +FLAGS.SILENT (\Flagged)
STORE 4,5,9 +FLAGS (\Deleted)
EXPUNGE
NOOP
UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)
UID FETCH 5:20 (UID) (CHANGEDSINCE 14 VANISHED)
FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)
UID FETCH 1:* (FLAGS) (VANISHED)
UID SEARCH RETURN (MIN MAX COUNT ALL) MODSEQ 14
SEARCH RETURN (MIN) MODSEQ 3
SEARCH RETURN (MAX) NOT FLAGGED
UID SEARCH RETURN () FLAGGED
SEARCH RETURN (MIN ALL) SMALLER 1
SEARCH RETURN (COUNT ALL) SMALLER 1
UID SEARCH RETURN (SAVE) FLAGGED
FETCH $ (FLAGS)
UID FETCH $ (FLAGS MODSEQ)
SEARCH RETURN (ALL) NOT $
UID SEARCH UID $
SEARCH RETURN (SAVE MIN) ALL
FETCH $ (UID)
SEARCH RETURN (SAVE MIN MAX) ALL
FETCH $ (UID)
SEARCH RETURN (SAVE MAX COUNT) ALL
FETCH $ (UID)
FETCH 1,$ (UID)
UID SEARCH RETURN (SAVE FOO) ALL
FETCH $ (UID)
UID STORE $ +FLAGS.SILENT (\Answered)
2 SELECT INBOX (QRESYNC (V 1))
2 ENABLE QRESYNC CONDSTORE
2 SELECT INBOX (QRESYNC (V 1))
2 SELECT INBOX (QRESYNC (V 15))
2 SELECT INBOX (QRESYNC (V 15 1:4))
2 SELECT INBOX (QRESYNC (V 999))
2 SELECT INBOX (CONDSTORE QRESYNC (1 1))
2 EXAMINE INBOX (QRESYNC (V 16 1:12))
2 SELECT INBOX
2 STORE 1 (UNCHANGEDSINCE 1) +FLAGS (\Draft)
2 STORE 3 +FLAGS.SILENT (\Deleted)
2 UID EXPUNGE 1:*
NOOP
FETCH $ (UID)
UID MOVE 1 Trash
2 NOOP
2 CLOSE
UNSELECT
`), "\n")

// TestResyncLikeDovecot tells the same story to both.
func TestResyncLikeDovecot(t *testing.T) {
	d := startDovecot(t, rig.DovecotOptions{})
	c := login(t, d.Addr, storeUser)
	for i := range 12 {
		appendMessage(t, c, "INBOX", i)
	}
	cmd(t, c, "CREATE Trash")
	cmd(t, c, "LOGOUT")
	home := filepath.Join(filepath.Dir(d.Conf), "mail")
	roostHome := filepath.Join(tempDir(t), "mail")
	must(t, rig.CopyTree(home, roostHome))
	r := startRoost(t, rig.RoostOptions{Home: filepath.Join(roostHome, "%u"), Users: []string{storeUser}})
	sessions := map[string][2]*rig.Client{}
	validity := ""
	for _, line := range resyncStory {
		who, command := "1", line
		if rest, ok := strings.CutPrefix(line, "2 "); ok {
			who, command = "2", rest
		}
		if _, ok := sessions[who]; !ok {
			sessions[who] = [2]*rig.Client{login(t, r.Addr, storeUser), login(t, d.Addr, storeUser)}
			if validity == "" {
				f := strings.Fields(joined(cmd(t, sessions[who][1], "STATUS INBOX (UIDVALIDITY)")))
				validity = strings.Trim(f[len(f)-1], "()")
			}
		}
		command = strings.ReplaceAll(command, "(V ", "("+validity+" ")
		sameLines(t, line, ask(t, sessions[who][0], command), ask(t, sessions[who][1], command))
	}
}

// TestResyncOfALargeMailbox: a client that was away for 1,000 random changes of a mailbox with 100,000 messages, made through Dovecot, knows
// after at most 64 KiB what a client knows that asks for everything.
func TestResyncOfALargeMailbox(t *testing.T) {
	const messages, changes = 100_000, 1000
	d := startDovecot(t, rig.DovecotOptions{})
	r := startRoost(t, rig.RoostOptions{Home: filepath.Join(filepath.Dir(d.Conf), "mail", "%u"), Users: []string{storeUser}})
	w := login(t, d.Addr, storeUser)
	fillINBOX(t, w, messages)
	c := login(t, r.Addr, storeUser)
	cmd(t, c, "ENABLE QRESYNC")
	known := newCached(t)
	known.take(cmd(t, c, "SELECT INBOX"))
	known.take(cmd(t, c, "UID FETCH 1:* (FLAGS)"))
	cmd(t, c, "LOGOUT")

	rng := rand.New(rand.NewPCG(1, 2))
	cmd(t, w, "SELECT INBOX")
	for range changes {
		switch uid := 1 + rng.IntN(messages); rng.IntN(3) {
		case 0:
			cmd(t, w, `UID STORE %d FLAGS (\Seen %s)`, uid, []string{`\Flagged`, `\Answered`, ""}[rng.IntN(3)])
		case 1:
			cmd(t, w, `UID STORE %d +FLAGS.SILENT (\Deleted)`, uid)
			cmd(t, w, "UID EXPUNGE %d", uid)
		default:
			appendMessage(t, w, "INBOX", uid)
		}
	}

	c = login(t, r.Addr, storeUser)
	cmd(t, c, "ENABLE QRESYNC")
	lines := cmd(t, c, "SELECT INBOX (QRESYNC (%s %s))", known.uidValidity, known.modseq)
	bytes := 0
	for _, l := range lines {
		bytes += len(l) + 2
	}
	known.take(lines)
	t.Logf("%d bytes for %d changes of %d messages", bytes, changes, messages)
	if bytes > 64<<10 {
		t.Errorf("the resynchronisation takes %d bytes, more than 64 KiB", bytes)
	}
	full := newCached(t)
	f := login(t, r.Addr, storeUser)
	full.take(cmd(t, f, "EXAMINE INBOX (CONDSTORE)"))
	full.take(cmd(t, f, "UID FETCH 1:* (FLAGS)"))
	known.same(t, full)
	// Both servers know the same modseqs, which roost has made Dovecot's log keep.
	const q = "UID FETCH 1:* (MODSEQ)"
	dovecot := login(t, d.Addr, storeUser)
	cmd(t, dovecot, "EXAMINE INBOX (CONDSTORE)")
	sameFetch(t, q, cmd(t, f, q), cmd(t, dovecot, q))
	quiet(t, d)
}

// TestHighestModSeqSetBack has a Dovecot add the extension modseq to an index that has it by now, which sets the highest modseq back below those of
// messages. The mailbox can be selected all the same, and no modseq that roost tells is above the highest.
func TestHighestModSeqSetBack(t *testing.T) {
	d := startDovecot(t, rig.DovecotOptions{})
	r := startRoost(t, rig.RoostOptions{Home: filepath.Join(filepath.Dir(d.Conf), "mail", "%u"), Users: []string{storeUser}})
	stale := login(t, d.Addr, storeUser)
	cmd(t, stale, "ENABLE CONDSTORE")
	cmd(t, stale, "CREATE a") // and keeps its index open
	cmd(t, login(t, r.Addr, storeUser), "SELECT a (CONDSTORE)")
	other := login(t, d.Addr, storeUser)
	for i := range 3 {
		appendMessage(t, other, "a", i)
	}
	cmd(t, stale, "SELECT a")

	c := login(t, r.Addr, storeUser)
	known := newCached(t)
	known.take(cmd(t, c, "SELECT a (CONDSTORE)"))
	highest, err := strconv.ParseUint(known.modseq, 10, 64)
	must(t, err)
	answers, err := rig.FetchAnswers(cmd(t, c, "FETCH 1:* (MODSEQ)"))
	must(t, err)
	if len(answers) != 3 {
		t.Fatalf("%d messages with a modseq, want 3", len(answers))
	}
	var most uint64
	for seq, a := range answers {
		modseq, err := strconv.ParseUint(strings.Trim(a["MODSEQ"].String(), `()"`), 10, 64)
		must(t, err)
		if most = max(most, modseq); modseq > highest {
			t.Errorf("message %d has modseq %d, above the highest, %d", seq, modseq, highest)
		}
	}
	if most < 2 {
		t.Errorf("the highest modseq of a message is %d: this Dovecot has not set anything back", most)
	}
	cmd(t, c, "NOOP")
	changed := cmd(t, c, `STORE 2 (UNCHANGEDSINCE %d) +FLAGS (\Seen)`, highest)
	if !bytes.Contains(bytes.Join(changed, nil), []byte("MODSEQ")) {
		t.Errorf("STORE says no modseq: %q", changed)
	}
	quiet(t, d)
}

// fillINBOX makes a mailbox large by copying its messages to itself, with other flags in between.
func fillINBOX(t *testing.T, c *rig.Client, messages int) {
	for i := range 10 {
		appendMessage(t, c, "INBOX", i)
	}
	cmd(t, c, "SELECT INBOX")
	for n := 10; n < messages; {
		more := min(n, messages-n)
		cmd(t, c, "COPY 1:%d INBOX", more)
		n += more
	}
}

// cached is what a client with QRESYNC keeps of a mailbox.
type cached struct {
	t                   *testing.T
	uidValidity, modseq string
	flags               map[string]string // by UID
}

func newCached(t *testing.T) *cached { return &cached{t: t, flags: map[string]string{}} }

var (
	cachedCode     = regexp.MustCompile(`^\* OK \[(UIDVALIDITY|HIGHESTMODSEQ) (\d+)\]`)
	cachedVanished = regexp.MustCompile(`^\* VANISHED \(EARLIER\) ([0-9:,]+)$`)
	cachedUID      = regexp.MustCompile(`UID (\d+)`)
	cachedFlags    = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
)

// take takes in untagged responses.
func (c *cached) take(lines [][]byte) {
	c.t.Helper()
	for _, l := range lines {
		line := string(l)
		if m := cachedCode.FindStringSubmatch(line); m != nil {
			if m[1] == "UIDVALIDITY" {
				c.uidValidity = m[2]
			} else {
				c.modseq = m[2]
			}
		} else if m := cachedVanished.FindStringSubmatch(line); m != nil {
			for _, part := range strings.Split(m[1], ",") {
				var first, last int
				if n, _ := fmt.Sscanf(part, "%d:%d", &first, &last); n == 1 {
					last = first
				}
				for uid := first; uid <= last; uid++ {
					delete(c.flags, fmt.Sprint(uid))
				}
			}
		} else if strings.Contains(line, " FETCH (") {
			uid, flags := cachedUID.FindStringSubmatch(line), cachedFlags.FindStringSubmatch(line)
			if uid == nil || flags == nil {
				continue
			}
			kept := slices.DeleteFunc(strings.Fields(flags[1]), func(f string) bool { return f == `\Recent` })
			c.flags[uid[1]] = strings.Join(kept, " ")
		}
	}
}

// same compares two caches.
func (c *cached) same(t *testing.T, want *cached) {
	t.Helper()
	if c.uidValidity != want.uidValidity || c.modseq != want.modseq || len(c.flags) != len(want.flags) {
		t.Errorf("UIDVALIDITY %s, HIGHESTMODSEQ %s, %d messages; want %s, %s, %d", c.uidValidity, c.modseq, len(c.flags), want.uidValidity, want.modseq, len(want.flags))
	}
	wrong := 0
	for uid, flags := range want.flags {
		if got, ok := c.flags[uid]; !ok || got != flags {
			if wrong++; wrong <= 10 {
				t.Errorf("UID %s: flags %q, there %v; want %q", uid, got, ok, flags)
			}
		}
	}
}

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// notifyRefusals are answered alike by roost and Dovecot; what stands in BADEVENT is each one's own. (Dovecot takes a SET without groups, NONE with
// more behind it, and for other mailboxes MessageExpunge or FlagChange alone, which RFC 5465 §5 wants to be BAD.)
var notifyRefusals = strings.Split(strings.TrimSpace(`
NOTIFY
NOTIFY MAYBE
NOTIFY SET (NOWHERE (MessageNew MessageExpunge))
NOTIFY SET (SELECTED (MessageNew))
NOTIFY SET (SELECTED (MessageNew (WHAT) MessageExpunge))
NOTIFY SET (SELECTED (MessageNew MessageExpunge)) (SELECTED-DELAYED (MessageNew MessageExpunge))
NOTIFY SET (SELECTED (MessageNew MessageExpunge AnnotationChange))
NOTIFY SET (PERSONAL (ServerMetadataChange))
NOTIFY SET (SELECTED NONE)
NOTIFY SET (MAILBOXES nothing (MessageNew MessageExpunge))
NOTIFY NONE
`), "\n")

// notifyWatched is what both are asked to tell, and notifyStory what is done in another session, and the responses that come of it by
// themselves, as RFC 5465 §5 has them.
const notifyWatched = "NOTIFY SET STATUS (SELECTED (MessageNew (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)]) MessageExpunge FlagChange)) (SUBTREE work (MessageNew MessageExpunge FlagChange)) (MAILBOXES play (MessageNew MessageExpunge))"

var notifyStory = []struct {
	commands []string // "+ MAILBOX" appends a message
	until    string   // the last response
}{
	{[]string{"+ work"}, `^\* STATUS work \(.*MESSAGES 1`},
	{[]string{"+ work/below"}, `^\* STATUS work/below \(.*MESSAGES 1`},
	{[]string{"+ other", "+ play"}, `^\* STATUS play \(.*MESSAGES 1`},
	{[]string{"SELECT work", `UID STORE 1 +FLAGS (\Seen)`, "UNSELECT"}, `^\* STATUS work \(.*UNSEEN 0`},
	{[]string{"SELECT work", `UID STORE 1 +FLAGS (\Deleted)`, "EXPUNGE", "UNSELECT"}, `^\* STATUS work \(.*MESSAGES 0`},
	{[]string{"SELECT INBOX", `UID STORE 2 +FLAGS (\Flagged)`}, `^\* 2 FETCH \(`},
	{[]string{`UID STORE 1 +FLAGS.SILENT (\Deleted)`}, `^\* 1 FETCH \(`},
	{[]string{"EXPUNGE"}, `^\* 1 EXPUNGE`},
	{[]string{"+ INBOX"}, `^\* 2 FETCH \(`},
}

var (
	statusLine = regexp.MustCompile(`^\* STATUS (\S+) \((.*)\)$`)
	// notRequired: Dovecot takes NOTIFY for an ENABLE CONDSTORE, and tells flags without the UID that RFC 5465 §5.1 wants.
	notRequired = regexp.MustCompile(`MODSEQ \(\d+\) |UID \d+ `)
	badEvent    = regexp.MustCompile(`BADEVENT [^]]*`)
	statusItem  = regexp.MustCompile(`([A-Z]+) (\d+)`)
)

// notified is what a client knows from the responses of a server: of each mailbox the newest values, and of the selected one what was said.
type notified struct {
	status   map[string]string // by "MAILBOX ITEM"
	selected []string
}

func (n *notified) take(line string) {
	if strings.HasSuffix(line, " RECENT") || strings.HasPrefix(line, "* OK [HIGHESTMODSEQ") || !strings.HasPrefix(line, "* ") && !strings.HasPrefix(line, "NOTIFY") {
		return // or the answer to NOOP
	}
	line = notRequired.ReplaceAllString(line, "")
	m := statusLine.FindStringSubmatch(line)
	if m == nil {
		n.selected = append(n.selected, line)
		return
	}
	for _, item := range statusItem.FindAllStringSubmatch(m[2], -1) {
		n.status[m[1]+" "+item[1]] = item[2]
	}
}

// TestNotifyLikeDovecot has roost and Dovecot tell of the same changes.
func TestNotifyLikeDovecot(t *testing.T) {
	d := startDovecot(t, rig.DovecotOptions{Extra: "mailbox_list_index = yes"})
	c := login(t, d.Addr, storeUser)
	for _, name := range []string{"work", "work/below", "play", "other"} {
		cmd(t, c, "CREATE %s", name)
	}
	appendMessage(t, c, "INBOX", 1)
	appendMessage(t, c, "INBOX", 2)
	cmd(t, c, "LOGOUT")
	home := filepath.Join(filepath.Dir(d.Conf), "mail")
	roostHome := filepath.Join(tempDir(t), "mail")
	must(t, rig.CopyTree(home, roostHome))
	r := startRoost(t, rig.RoostOptions{Home: filepath.Join(roostHome, "%u"), Users: []string{storeUser}})
	var known [2]notified
	for i, addr := range []string{r.Addr, d.Addr} {
		known[i].status = map[string]string{}
		watcher, other := login(t, addr, storeUser), login(t, addr, storeUser)
		for _, line := range notifyRefusals {
			known[i].take(fmt.Sprintf("%s: %s", line, badEvent.ReplaceAllString(joined(ask(t, watcher, line)), "BADEVENT")))
		}
		cmd(t, watcher, "SELECT INBOX")
		for _, l := range cmd(t, watcher, notifyWatched) {
			known[i].take(string(l))
		}
		for n, step := range notifyStory {
			for _, command := range step.commands {
				if name, ok := strings.CutPrefix(command, "+ "); ok {
					appendMessage(t, other, name, n)
				} else {
					cmd(t, other, "%s", command)
				}
			}
			if i == 1 { // Dovecot 2.3.19 tells by itself of one change of the selected mailbox, then nothing before the next command
				must(t, watcher.Send([]byte("n NOOP\r\n")))
			}
			for until := regexp.MustCompile(step.until); ; {
				l, err := watcher.ReadResponse()
				must(t, err)
				t.Logf("%d: %s", i, l)
				known[i].take(string(l))
				if until.Match(l) {
					break
				}
			}
		}
	}
	for key, want := range known[1].status {
		if strings.HasSuffix(key, " HIGHESTMODSEQ") { // which Dovecot tells to who has not enabled CONDSTORE
			continue
		}
		if strings.HasPrefix(key, "play UNSEEN") { // FlagChange was not asked for
			continue
		}
		if got := known[0].status[key]; got != want {
			t.Errorf("%s: roost says %q, Dovecot %q", key, got, want)
		}
	}
	if got, want := strings.Join(known[0].selected, "\n"), strings.Join(known[1].selected, "\n"); got != want {
		t.Errorf("roost:\n%s\nDovecot:\n%s", got, want)
	}
}

// TestNotifyOutlivesCore: what a client has asked to be told of is told by the next core, after a reload and after a kill.
func TestNotifyOutlivesCore(t *testing.T) {
	home := tempDir(t)
	must(t, os.Mkdir(filepath.Join(home, storeUser), 0o700))
	must(t, os.Chown(filepath.Join(home, storeUser), rig.MailUID, rig.MailUID))
	c := &crowd{t: t, r: startRoost(t, rig.RoostOptions{Home: filepath.Join(home, "%u"), Users: []string{storeUser}, Extra: "[limits]\nmailbox_poll = \"1s\"\n"})}
	watcher := login(t, c.r.Addr, storeUser)
	cmd(t, watcher, "CREATE work")
	cmd(t, watcher, "SELECT INBOX")
	cmd(t, watcher, "NOTIFY SET (SELECTED (MessageNew (UID) MessageExpunge)) (MAILBOXES work (MessageNew MessageExpunge))")
	until := func(what string) {
		t.Helper()
		for {
			l, err := watcher.ReadResponse()
			must(t, err)
			if strings.HasPrefix(string(l), what) {
				return
			}
		}
	}
	c.sessions = append(c.sessions, &member{Client: watcher})
	for n := 1; n <= 3; n++ {
		w := login(t, c.r.Addr, storeUser)
		appendMessage(t, w, "INBOX", n)
		until(fmt.Sprintf("* %d EXISTS", n))
		until(fmt.Sprintf("* %d FETCH (UID %d)", n, n))
		appendMessage(t, w, "work", n)
		until(fmt.Sprintf("* STATUS work (MESSAGES %d ", n))
		cmd(t, w, "LOGOUT")
		w.Close()
		if n == 1 {
			must(t, c.reload())
		} else if n == 2 {
			c.held()
			must(t, syscall.Kill(c.r.CorePIDs()[0], syscall.SIGKILL))
		} else {
			break
		}
		until(fmt.Sprintf("* STATUS work (MESSAGES %d ", n)) // once more, since nobody knows what has been told
	}
}

// TestNotifyBesidesAMailboxOutlivesCore: also a session that has none selected is told at once of what others do, long before mailboxes are polled.
func TestNotifyBesidesAMailboxOutlivesCore(t *testing.T) {
	home := tempDir(t)
	must(t, os.Mkdir(filepath.Join(home, storeUser), 0o700))
	must(t, os.Chown(filepath.Join(home, storeUser), rig.MailUID, rig.MailUID))
	c := &crowd{t: t, r: startRoost(t, rig.RoostOptions{Home: filepath.Join(home, "%u"), Users: []string{storeUser}, Extra: "[limits]\nmailbox_poll = \"1h\"\n"})}
	watcher := login(t, c.r.Addr, storeUser)
	cmd(t, watcher, "CREATE work")
	cmd(t, watcher, "NOTIFY SET (MAILBOXES work (MessageNew MessageExpunge))")
	c.sessions = append(c.sessions, &member{Client: watcher})
	for n := 1; n <= 3; n++ {
		w := login(t, c.r.Addr, storeUser)
		appendMessage(t, w, "work", n)
		for l, err := watcher.ReadResponse(); !strings.HasPrefix(string(l), fmt.Sprintf("* STATUS work (MESSAGES %d ", n)); l, err = watcher.ReadResponse() {
			must(t, err)
		}
		cmd(t, w, "LOGOUT")
		w.Close()
		if n == 1 {
			must(t, c.reload())
		} else if n == 2 {
			c.held()
			must(t, syscall.Kill(c.r.CorePIDs()[0], syscall.SIGKILL))
		}
	}
}

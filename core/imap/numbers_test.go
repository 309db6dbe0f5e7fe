package imap_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	goimap "github.com/emersion/go-imap/v2"
)

// believer is a client that believes what it is told: which UID each sequence number has.
type believer struct {
	*conn
	t    *testing.T
	id   int
	uids []int // by sequence number; 0 = not known yet
	n    int   // commands sent
}

var fetchLine = regexp.MustCompile(`^\* (\d+) FETCH \((.*)\)$`)
var uidItem = regexp.MustCompile(`UID (\d+)`)

// take believes an untagged response. It returns an error for what can not be true.
func (b *believer) take(line string) error {
	f := strings.Fields(line)
	if len(f) < 3 || f[0] != "*" {
		return nil
	}
	n, err := strconv.Atoi(f[1])
	if err != nil {
		return nil
	}
	switch f[2] {
	case "EXISTS":
		if n < len(b.uids) {
			return fmt.Errorf("%q after %d messages were known", line, len(b.uids))
		}
		b.uids = append(b.uids, make([]int, n-len(b.uids))...)
	case "EXPUNGE":
		if n < 1 || n > len(b.uids) {
			return fmt.Errorf("%q of %d messages", line, len(b.uids))
		}
		b.uids = slices.Delete(b.uids, n-1, n)
	case "FETCH":
		m := fetchLine.FindStringSubmatch(line)
		if m == nil || n < 1 || n > len(b.uids) {
			return fmt.Errorf("%q of %d messages", line, len(b.uids))
		}
		u := uidItem.FindStringSubmatch(m[2])
		if u == nil {
			return nil
		}
		uid, _ := strconv.Atoi(u[1])
		if was := b.uids[n-1]; was != 0 && was != uid {
			return fmt.Errorf("%q, but message %d was UID %d", line, n, was)
		}
		b.uids[n-1] = uid
	}
	return nil
}

// command sends a command and believes the answer.
func (b *believer) command(cmd string) (tagged string, err error) {
	b.n++
	tag := fmt.Sprintf("c%d ", b.n)
	b.send([]byte(tag + cmd + "\r\n"))
	expunged := len(b.uids)
	for {
		line, err := b.r.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("%s: %q, %w", cmd, line, err)
		}
		line = strings.TrimSuffix(line, "\r\n")
		if strings.HasPrefix(line, tag) {
			return line, nil
		}
		if err := b.take(line); err != nil {
			return "", fmt.Errorf("%s: %w", cmd, err)
		}
		if strings.HasSuffix(line, " EXPUNGE") && (strings.HasPrefix(cmd, "FETCH") || strings.HasPrefix(cmd, "SEARCH")) {
			return "", fmt.Errorf("%s: %q, which RFC 3501 §7.4.1 forbids (%d messages)", cmd, line, expunged)
		}
	}
}

// idle waits until the server has said something, and believes it.
func (b *believer) idle(wake func()) error {
	b.n++
	tag := fmt.Sprintf("c%d ", b.n)
	b.send([]byte(tag + "IDLE\r\n"))
	for {
		line := b.read()
		if line == "+ idling" {
			break
		}
		if err := b.take(line); err != nil {
			return err
		}
	}
	wake()
	b.send([]byte("DONE\r\n"))
	for {
		line := b.read()
		if strings.HasPrefix(line, tag) {
			return nil
		}
		if err := b.take(line); err != nil {
			return fmt.Errorf("idle: %w", err)
		}
	}
}

// TestSequenceNumbersAreNeverWrong lets several clients do what they like while
// the mailbox changes under them, with and without watches, and checks every number that they are told.
func TestSequenceNumbersAreNeverWrong(t *testing.T) {
	for _, watches := range []bool{true, false} {
		t.Run(fmt.Sprintf("watches=%t", watches), func(t *testing.T) {
			t.Parallel()
			srv := startServer(t, testConfig(), watches)
			inbox := srv.store.Create("demo", "", "INBOX")
			for range 40 {
				inbox.Append("x", 0)
			}
			var wg sync.WaitGroup
			for id := range 6 {
				b := &believer{conn: srv.dial(&script{t: t, file: fmt.Sprint("client ", id)}), t: t, id: id}
				wg.Add(1)
				go func() {
					defer wg.Done()
					if err := b.live(srv, 80); err != nil {
						t.Errorf("client %d, command %d: %v", id, b.n, err)
					}
				}()
			}
			wg.Wait()
		})
	}
}

// live sends random commands, changes the mailbox now and then, and in the end compares all that is believed with the store.
func (b *believer) live(srv *server, commands int) error {
	rnd := rand.New(rand.NewPCG(uint64(b.id), 11))
	for _, cmd := range []string{"LOGIN demo secret", "SELECT INBOX"} {
		if tagged, err := b.command(cmd); err != nil || !strings.Contains(tagged, " OK ") {
			return fmt.Errorf("%s: %q, %w", cmd, tagged, err)
		}
	}
	for range commands {
		b.change(rnd, srv)
		cmd := "NOOP"
		switch n := len(b.uids); rnd.IntN(7) {
		case 0:
			if n > 0 {
				cmd = fmt.Sprintf("FETCH %d:%d (UID FLAGS)", 1+rnd.IntN(n), 1+rnd.IntN(n))
			}
		case 1:
			cmd = "UID FETCH 1:* (FLAGS)"
		case 2:
			cmd = "STATUS INBOX (MESSAGES)"
		case 3:
			if err := b.idle(func() { b.change(rnd, srv) }); err != nil {
				return err
			}
			continue
		case 4:
			cmd = "CHECK"
		case 5:
			cmd = "UID FETCH 1:* (FLAGS MODSEQ)"
		}
		if tagged, err := b.command(cmd); err != nil || !strings.Contains(tagged, " OK ") {
			return fmt.Errorf("%s: %q, %w", cmd, tagged, err)
		}
	}
	if len(b.uids) == 0 {
		return nil
	}
	before := slices.Clone(b.uids)
	if _, err := b.command("FETCH 1:* (UID)"); err != nil {
		return fmt.Errorf("at the end: %w (believed %v)", err, before)
	}
	for i, uid := range b.uids {
		if uid == 0 && i < len(before) {
			return fmt.Errorf("message %d has no UID", i+1)
		}
	}
	return nil
}

// change does something to the mailbox, as another program would.
func (b *believer) change(rnd *rand.Rand, srv *server) {
	inbox := srv.store.Mailbox("demo", "", "INBOX")
	uids := inbox.UIDs()
	switch n := rnd.IntN(8); {
	case n < 3:
		inbox.Append("x", 0)
	case n < 5 && len(uids) > 0:
		inbox.Expunge(goimap.UID(uids[rnd.IntN(len(uids))]))
	case n == 5 && len(uids) > 0:
		inbox.SetFlags(goimap.UID(uids[rnd.IntN(len(uids))]), uint8(rnd.IntN(32)), "k")
	case n == 6 && rnd.IntN(10) == 0:
		inbox.ForgetHistory()
	}
	if rnd.IntN(2) == 0 {
		srv.poll()
	}
}

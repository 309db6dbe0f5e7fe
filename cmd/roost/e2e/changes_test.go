package e2e

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// TestRandomChanges lets Dovecot's clients change a mailbox at random, with a log that rotates all the time, while
// sessions of roost follow it and the storage plugin is killed again and again. Each session keeps what a client
// would know from the responses alone; a response that contradicts it is a failure, and in the end everybody knows the same.
func TestRandomChanges(t *testing.T) {
	seed := seed()
	t.Logf("seed %d", seed)
	d := startDovecot(t, rig.DovecotOptions{Extra: "mail_index_log_rotate_min_size = 1k\nmail_index_log_rotate_max_size = 2k\nmail_index_log_rotate_min_age = 0\nmail_index_rewrite_min_log_bytes = 256\nmail_index_rewrite_max_log_bytes = 512\nmdbox_rotate_size = 4k\n"})
	first := login(t, d.Addr, storeUser)
	for i := range 30 {
		appendMessage(t, first, "INBOX", i)
	}
	cmd(t, first, "SELECT INBOX")
	r := startRoost(t, rig.RoostOptions{Home: filepath.Join(filepath.Dir(d.Conf), "mail", "%u"), Users: []string{storeUser}})

	changed, all := context.WithCancel(context.Background()) // ends when all changes are made
	defer all()
	var writers, followers sync.WaitGroup
	sessions := make([]*follower, 8)
	for i := range sessions {
		f := &follower{t: t, name: fmt.Sprint("session ", i), c: login(t, r.Addr, storeUser), rng: rand.New(rand.NewPCG(seed, uint64(100+i)))}
		sessions[i] = f
	}
	k := &killer{r: r, sessions: sessions[1:], had: make([]int64, len(sessions))} // the first one waits for the end
	for w := range 3 {
		c := login(t, d.Addr, storeUser)
		cmd(t, c, "SELECT INBOX")
		writers.Add(1)
		go func() {
			defer writers.Done()
			change(t, c, rand.New(rand.NewPCG(seed, uint64(w))), w, k, d)
		}()
	}
	for i, f := range sessions {
		followers.Add(1)
		go func() {
			defer followers.Done()
			f.follow(changed, i)
		}()
	}
	writers.Wait()
	all()
	followers.Wait()
	if t.Failed() {
		return
	}
	cmd(t, first, "NOOP")
	q := "FETCH 1:* (UID FLAGS)"
	want, err := rig.FetchAnswers(cmd(t, first, "%s", q))
	must(t, err)
	t.Logf("%d messages in the end", len(want))
	for _, f := range sessions {
		f.cmd("NOOP")
		f.cmd("%s", q)
		if len(f.known) != len(want) {
			t.Errorf("%s knows %d messages, Dovecot %d", f.name, len(f.known), len(want))
			continue
		}
		for i, k := range f.known {
			w := want[uint32(i+1)]
			if fmt.Sprint(k.uid) != w["UID"].Str || k.flags != withoutRecent(w["FLAGS"]) {
				t.Errorf("%s: message %d: UID %d flags %s, Dovecot: %s %s", f.name, i+1, k.uid, k.flags, w["UID"].Str, withoutRecent(w["FLAGS"]))
			}
		}
	}
	const bodies = "UID FETCH 1:* (BODY.PEEK[])"
	sameFetch(t, bodies, cmd(t, sessions[0].c, bodies), cmd(t, first, bodies))
}

// changes is how many changes each writer makes.
const changes = 60

// change makes changes through Dovecot. The first writer kills the plugin too, the second runs doveadm.
func change(t *testing.T, c *rig.Client, rng *rand.Rand, writer int, k *killer, d *rig.Dovecot) {
	for i := range changes {
		uid := 1 + rng.IntN(40+i)
		var err error
		switch n := rng.IntN(20); {
		case n < 5:
			m := fmt.Sprintf("Subject: %d of %d\r\n\r\n%s\r\n", i, writer, strings.Repeat("text ", rng.IntN(300)))
			_, err = c.Cmd("APPEND INBOX (%s) {%d+}\r\n%s", []string{"", `\Seen`, "kw1 kw2"}[rng.IntN(3)], len(m), m)
		case n < 12:
			_, err = c.Cmd(`UID STORE %d:%d %cFLAGS (%s)`, uid, uid+rng.IntN(4), "+-"[rng.IntN(2)], []string{`\Seen`, `\Flagged`, `\Answered \Draft`, "kw1", "kw2 kw3", fmt.Sprint("kw", rng.IntN(30))}[rng.IntN(6)])
		case n < 15:
			_, err = c.Cmd(`UID STORE %d:%d +FLAGS.SILENT (\Deleted)`, uid, uid+rng.IntN(3))
		case n < 17:
			_, err = c.Cmd(`EXPUNGE`)
		case n < 18:
			_, err = c.Cmd(`UID COPY %d:%d INBOX`, uid, uid+rng.IntN(4))
		default:
			_, err = c.Cmd(`NOOP`)
		}
		if err != nil && !strings.Contains(err.Error(), "EXPUNGEISSUED") {
			t.Errorf("writer %d: %v", writer, err)
			return
		}
		if writer == 0 && i%20 == 10 {
			if err := k.kill(); err != nil {
				t.Error(err)
				return
			}
		}
		if writer == 1 && i%15 == 10 {
			args := [][]string{{"purge", "-u", storeUser}, {"index", "-u", storeUser, "INBOX"}}[rng.IntN(2)]
			if _, err := d.Doveadm(args...); err != nil {
				t.Error(err)
			}
		}
	}
}

// killer kills the storage plugin, but never twice in one command: a call that only reads is made again once.
type killer struct {
	r        *rig.Roost
	sessions []*follower // those that take no NO for an answer
	had      []int64     // how many answers each had got when the plugin was killed last
}

func (k *killer) kill() error {
	end := time.Now().Add(30 * time.Second)
	for i, f := range k.sessions {
		for f.answers.Load() <= k.had[i] {
			if time.Now().After(end) {
				return fmt.Errorf("%s gets no answer", f.name)
			}
			time.Sleep(time.Millisecond)
		}
	}
	pid, err := k.r.PluginPID("storage/mdbox")
	if err != nil {
		return nil // it is being started
	}
	_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
	for i, f := range k.sessions {
		k.had[i] = f.answers.Load()
	}
	return nil
}

// follower is a session with what its client knows.
type follower struct {
	t       *testing.T
	name    string
	c       *rig.Client
	rng     *rand.Rand
	known   []knownMessage
	answers atomic.Int64 // to commands
	last    []string     // responses, for the report of a failure
}

// knownMessage is a message as far as the client was told: 0 and "" are unknown.
type knownMessage struct {
	uid   uint64
	flags string
}

// follow runs commands until everything has changed. Session 0 sleeps all the time, session 1 is mostly in IDLE.
func (f *follower) follow(changed context.Context, nth int) {
	f.cmd("SELECT INBOX")
	for changed.Err() == nil && !f.t.Failed() {
		switch k := f.rng.IntN(10); {
		case nth == 0:
			<-changed.Done()
		case nth == 1 && k < 8 || k < 1:
			f.idle()
		case k < 3:
			f.cmd("NOOP")
		case k < 5 && len(f.known) > 0:
			n := 1 + f.rng.IntN(len(f.known))
			f.cmd("FETCH %d:%d (UID FLAGS)", n, min(n+f.rng.IntN(5), len(f.known)))
		case k < 6:
			f.cmd("UID FETCH 1:* FLAGS")
		case k < 7:
			f.cmd("UID FETCH %d:* (BODY.PEEK[])", 1+f.rng.IntN(100))
		case k < 8:
			f.cmd("SEARCH SEEN")
		default:
			f.cmd("STATUS INBOX (MESSAGES)")
		}
	}
}

func (f *follower) cmd(format string, args ...any) {
	u, err := f.c.Cmd(format, args...)
	f.answers.Add(1)
	for _, l := range u {
		f.learn(l, strings.HasPrefix(format, "FETCH") || strings.HasPrefix(format, "SEARCH"))
	}
	f.last = append(f.last, fmt.Sprintf(format, args...))
	if err != nil && !strings.Contains(err.Error(), "EXPUNGEISSUED") {
		f.fail("%v", err)
	}
}

// idle begins IDLE and ends it at once.
func (f *follower) idle() {
	tag, err := f.c.Start("IDLE")
	if err != nil {
		f.fail("%v", err)
		return
	}
	if err := f.c.Send([]byte("DONE\r\n")); err != nil {
		f.fail("%v", err)
	}
	u, _, err := f.c.Until(tag)
	for _, l := range u {
		f.learn(l, false)
	}
	f.last = append(f.last, "IDLE")
	if err != nil {
		f.fail("%v", err)
	}
}

// learn takes in an untagged response. quiet: no EXPUNGE may come now (RFC 3501 §7.4.1).
func (f *follower) learn(l []byte, quiet bool) {
	if len(l) > 200 {
		f.last = append(f.last, string(l[:200]))
	} else {
		f.last = append(f.last, string(l))
	}
	w := bytes.Fields(l)
	if len(w) < 3 {
		return
	}
	n, err := strconv.Atoi(string(w[1]))
	if err != nil {
		return
	}
	switch string(w[2]) {
	case "EXISTS":
		if n < len(f.known) {
			f.fail("%d EXISTS, but %d messages are known", n, len(f.known))
			return
		}
		f.known = append(f.known, make([]knownMessage, n-len(f.known))...)
	case "EXPUNGE":
		if n < 1 || n > len(f.known) || quiet {
			f.fail("%s, with %d messages known, quiet %v", l, len(f.known), quiet)
			return
		}
		f.known = append(f.known[:n-1], f.known[n:]...)
	case "FETCH":
		if n < 1 || n > len(f.known) {
			f.fail("%s, with %d messages known", l, len(f.known))
			return
		}
		f.fetched(n, l)
	}
}

func (f *follower) fetched(n int, l []byte) {
	m, err := rig.FetchAnswers([][]byte{l})
	if err != nil {
		f.fail("%v", err)
		return
	}
	k := &f.known[n-1]
	items := m[uint32(n)]
	if v, ok := items["UID"]; ok {
		uid, _ := strconv.ParseUint(v.Str, 10, 32)
		if k.uid != 0 && k.uid != uid {
			f.fail("message %d has UID %d, and had %d", n, uid, k.uid)
		}
		if n > 1 && f.known[n-2].uid >= uid || n < len(f.known) && f.known[n].uid != 0 && f.known[n].uid <= uid {
			f.fail("message %d has UID %d, not between its neighbours'", n, uid)
		}
		k.uid = uid
	}
	if v, ok := items["FLAGS"]; ok {
		k.flags = withoutRecent(v)
	}
}

func (f *follower) fail(format string, args ...any) {
	f.t.Errorf("%s: %s\nbefore it:\n%s", f.name, fmt.Sprintf(format, args...), strings.Join(f.last[max(0, len(f.last)-25):], "\n"))
}

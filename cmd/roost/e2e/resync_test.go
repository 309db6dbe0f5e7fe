package e2e

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// TestRandomResync lets Dovecot's clients change a mailbox at random, as TestRandomChanges does, while clients of roost with QRESYNC lose
// their connections again and again. Each keeps what RFC 7162 §6 lets it keep, and comes back with that: it then knows
// exactly the messages that are there, and in the end the flags of all of them.
func TestRandomResync(t *testing.T) {
	seed := seed()
	t.Logf("seed %d", seed)
	d := startDovecot(t, rig.DovecotOptions{Extra: "mail_index_log_rotate_min_size = 4k\nmail_index_log_rotate_max_size = 8k\nmail_index_log_rotate_min_age = 0\nmail_index_rewrite_min_log_bytes = 256\nmail_index_rewrite_max_log_bytes = 512\n"})
	first := login(t, d.Addr, storeUser)
	for i := range 30 {
		appendMessage(t, first, "INBOX", i)
	}
	cmd(t, first, "SELECT INBOX")
	r := startRoost(t, rig.RoostOptions{Home: filepath.Join(filepath.Dir(d.Conf), "mail", "%u"), Users: []string{storeUser}})

	var changed atomic.Bool
	var writers, clients sync.WaitGroup
	for w := range 3 {
		c := login(t, d.Addr, storeUser)
		cmd(t, c, "SELECT INBOX")
		writers.Go(func() { change(t, c, rand.New(rand.NewPCG(seed, uint64(w))), w, &killer{r: r}, d) })
	}
	caches := make([]*offline, 6)
	for i := range caches {
		o := &offline{cached: *newCached(t), name: fmt.Sprint("client ", i), addr: r.Addr, rng: rand.New(rand.NewPCG(seed, uint64(100+i)))}
		caches[i] = o
		clients.Go(func() { o.work(&changed) })
	}
	writers.Wait()
	changed.Store(true)
	clients.Wait()
	if t.Failed() {
		return
	}
	full := newCached(t)
	full.take(cmd(t, first, "SELECT INBOX (CONDSTORE)"))
	full.take(cmd(t, first, "UID FETCH 1:* (FLAGS)"))
	resyncs := 0
	for _, o := range caches {
		o.connect()
		o.same(t, full)
		resyncs += o.resyncs
	}
	quiet(t, d)
	t.Logf("%d messages in the end, %d resynchronisations", len(full.flags), resyncs)
}

// offline is a client that keeps its cache over connections.
type offline struct {
	cached
	name    string
	addr    string
	rng     *rand.Rand
	c       *rig.Client
	exists  bool // EXISTS has told of messages that are not in the cache
	resyncs int
	last    []string
}

// work uses and loses connections until everything has changed.
func (o *offline) work(changed *atomic.Bool) {
	for !changed.Load() && !o.t.Failed() {
		o.connect()
		for range o.rng.IntN(8) {
			switch o.rng.IntN(6) {
			case 0:
				o.command("UID FETCH 1:* (FLAGS MODSEQ)")
			case 1:
				o.command("FETCH %d (MODSEQ)", 1) // nothing may vanish
			case 2:
				o.command("UID STORE %d +FLAGS.SILENT (kw%d)", 1+o.rng.IntN(60), o.rng.IntN(4))
				o.unsure()
			case 3:
				o.command("STORE 1 +FLAGS (\\Flagged)")
			case 4:
				o.command("UID SEARCH RETURN (SAVE) SEEN")
				o.command("UID FETCH $ (FLAGS)")
			default:
				o.command("NOOP")
			}
		}
		o.c.Close()
	}
}

// unsure forgets flags that the client has set itself, since .SILENT does not tell them.
func (o *offline) unsure() { o.command("UID FETCH 1:* (FLAGS)") }

// connect logs in, and resynchronises. While the plugin is down it tries again.
func (o *offline) connect() {
	for !o.tryConnect() && !o.t.Failed() {
		o.c.Close()
	}
}

func (o *offline) tryConnect() bool {
	c, err := rig.Login(o.addr, storeUser)
	if err != nil {
		o.t.Errorf("%s: %v", o.name, err)
		return true
	}
	o.t.Cleanup(c.Close)
	o.c = c
	o.command("ENABLE QRESYNC")
	selectINBOX := "SELECT INBOX"
	if o.modseq != "" {
		selectINBOX = fmt.Sprintf("SELECT INBOX (QRESYNC (%s %s))", o.uidValidity, o.modseq)
		o.resyncs++
	}
	lines, final := o.send("%s", selectINBOX)
	if strings.HasPrefix(string(final), "NO [UNAVAILABLE]") {
		return false
	}
	first := o.modseq == ""
	o.note(lines, final)
	if first {
		o.command("UID FETCH 1:* (FLAGS)")
	}
	o.fetchNew()
	o.know()
	return true
}

// know compares the cache with the messages that the session has. The search is of the view that SELECT has opened; what happened since follows it.
func (o *offline) know() {
	lines, final := o.send("UID SEARCH RETURN (ALL) ALL")
	var want []int
	for i, l := range lines {
		m := esearchAll.FindSubmatch(l)
		if m == nil {
			continue
		}
		for uid := range uidsOf(string(m[1])) {
			want = append(want, uid)
		}
		got := []int{}
		for uid := range o.flags {
			n, _ := strconv.Atoi(uid)
			got = append(got, n)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			o.t.Errorf("%s: knows %v, there are %v\nbefore it:\n%s", o.name, got, want, strings.Join(o.last[max(0, len(o.last)-60):], "\n"))
		}
		o.note(lines[i+1:], final)
		o.fetchNew()
		return
	}
}

var (
	esearchAll  = regexp.MustCompile(`^\* ESEARCH \(TAG "[^"]*"\) UID ALL ([0-9:,]+)`)
	anyModSeq   = regexp.MustCompile(`MODSEQ \((\d+)\)`)
	anyHighest  = regexp.MustCompile(`\[HIGHESTMODSEQ (\d+)\]`)
	anyVanished = regexp.MustCompile(`^\* VANISHED (\(EARLIER\) )?([0-9:,]+)$`)
	anyExists   = regexp.MustCompile(`^\* \d+ EXISTS$`)
)

// uidsOf yields the numbers of a set.
func uidsOf(set string) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for _, part := range strings.Split(set, ",") {
			a, b, ok := strings.Cut(part, ":")
			first, _ := strconv.Atoi(a)
			last := first
			if ok {
				last, _ = strconv.Atoi(b)
			}
			for uid := first; uid <= last; uid++ {
				if !yield(uid) {
					return
				}
			}
		}
	}
}

// command sends a command, takes in what it tells, and asks for messages that are new.
func (o *offline) command(format string, args ...any) {
	o.note(o.send(format, args...))
	o.fetchNew()
}

// fetchNew asks for the messages that EXISTS has told of.
func (o *offline) fetchNew() {
	for o.exists && !o.t.Failed() {
		o.exists = false
		last := 0
		for uid := range o.flags {
			n, _ := strconv.Atoi(uid)
			last = max(last, n)
		}
		o.note(o.send("UID FETCH %d:* (FLAGS)", last+1))
	}
}

func (o *offline) send(format string, args ...any) (lines [][]byte, final []byte) {
	tag, err := o.c.Start(format, args...)
	if err == nil {
		o.last = append(o.last, fmt.Sprintf(format, args...))
		lines, final, err = o.c.Until(tag)
	}
	for _, l := range lines {
		o.last = append(o.last, string(l[:min(len(l), 150)]))
	}
	o.last = append(o.last, string(final))
	if err != nil || strings.HasPrefix(string(final), "BAD") && !strings.Contains(string(final), "Invalid messageset") {
		o.t.Errorf("%s: %v %s\nbefore it:\n%s", o.name, err, final, strings.Join(o.last[max(0, len(o.last)-30):], "\n"))
	}
	return lines, final
}

// note takes in the answer to a command. HIGHESTMODSEQ counts if it was told, else the highest MODSEQ (RFC 7162 §6).
func (o *offline) note(lines [][]byte, final []byte) {
	was := o.modseq
	o.take(lines)
	o.modseq = was
	highest, told := "", 0
	for _, l := range append(slices.Clone(lines), final) {
		if m := anyHighest.FindSubmatch(l); m != nil {
			highest = string(m[1])
		}
		if m := anyModSeq.FindSubmatch(l); m != nil {
			n, _ := strconv.Atoi(string(m[1]))
			told = max(told, n)
		}
		if m := anyVanished.FindSubmatch(l); m != nil {
			for uid := range uidsOf(string(m[2])) {
				if _, known := o.flags[strconv.Itoa(uid)]; !known && len(m[1]) == 0 {
					// RFC 7162 §3.2.10.2: only what was announced; a message may have been, without its UID
					o.exists = true
				}
				delete(o.flags, strconv.Itoa(uid))
			}
		}
		o.exists = o.exists || anyExists.Match(l)
	}
	if now, _ := strconv.Atoi(o.modseq); highest == "" && told > now {
		highest = strconv.Itoa(told)
	}
	if highest != "" {
		o.modseq = highest
	}
}

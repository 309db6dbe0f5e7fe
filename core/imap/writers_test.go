package imap_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	goimap "github.com/emersion/go-imap/v2"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox/mailboxtest"
	"github.com/roostmail/roost/core/session"
)

// writer is a client that writes, and believes what it is told: UIDs, flags, \Recent, counts.
type writer struct {
	*conn
	id       int
	world    *world
	rnd      *rand.Rand
	n        int    // commands sent
	box      string // selected
	examined bool
	session  string // names the selection
	messages []belief
	recent   int // last RECENT
}

// belief is what is known of a message.
type belief struct {
	uid   int      // 0 = not known
	flags []string // sorted, in lower case, with \recent; nil = not known
	fresh bool     // flags were told in the command that runs
}

// world is what the writers share: the store, and who has which messages \Recent.
type world struct {
	srv   *server
	mu    sync.Mutex
	owner map[string]string // mailbox and UID → session
	rnd   *rand.Rand        // of meddle
	calm  bool              // nobody meddles
}

func (w *world) claim(box string, uid int, session string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := fmt.Sprint(box, uid)
	if was, ok := w.owner[k]; ok && was != session {
		return fmt.Errorf("UID %d of %s is \\Recent in session %s, and was in %s", uid, box, session, was)
	}
	w.owner[k] = session
	return nil
}

var (
	flagsItem   = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
	literalTail = regexp.MustCompile(`\{(\d+)\}$`)
	countLine   = regexp.MustCompile(`^\* (\d+) (EXISTS|RECENT|EXPUNGE|FETCH)\b`)
	modified    = regexp.MustCompile(`\[MODIFIED ([0-9:,]+)\]`)
)

func parseTold(s string) []string {
	flags := strings.Fields(strings.ToLower(s))
	slices.Sort(flags)
	if flags == nil {
		flags = []string{}
	}
	return flags
}

// line reads a line with its literals.
func (w *writer) line() (string, error) {
	text := ""
	for {
		l, err := w.r.ReadString('\n')
		if err != nil {
			return text + l, err
		}
		text += strings.TrimSuffix(l, "\r\n")
		m := literalTail.FindStringSubmatch(text)
		if m == nil {
			return text, nil
		}
		n, _ := strconv.Atoi(m[1])
		p := make([]byte, n)
		if _, err := io.ReadFull(w.r, p); err != nil {
			return text, err
		}
		text += "."
	}
}

// take believes an untagged response, or says why it can not be true.
func (w *writer) take(line string) error {
	m := countLine.FindStringSubmatch(line)
	if m == nil {
		return nil
	}
	n, _ := strconv.Atoi(m[1])
	switch m[2] {
	case "EXISTS":
		if n < len(w.messages) {
			return fmt.Errorf("%q after %d messages were known", line, len(w.messages))
		}
		w.messages = append(w.messages, make([]belief, n-len(w.messages))...)
		return nil
	case "RECENT":
		w.recent = n
		return nil
	}
	if n < 1 || n > len(w.messages) {
		return fmt.Errorf("%q of %d messages", line, len(w.messages))
	}
	if m[2] == "EXPUNGE" {
		w.messages = slices.Delete(w.messages, n-1, n)
		return nil
	}
	msg := &w.messages[n-1]
	if u := uidItem.FindStringSubmatch(line); u != nil {
		uid, _ := strconv.Atoi(u[1])
		if msg.uid != 0 && msg.uid != uid {
			return fmt.Errorf("%q, but message %d was UID %d", line, n, msg.uid)
		}
		msg.uid = uid
	}
	if f := flagsItem.FindStringSubmatch(line); f != nil {
		msg.flags, msg.fresh = parseTold(f[1]), true
		if !w.examined && msg.uid != 0 && slices.Contains(msg.flags, `\recent`) {
			return w.world.claim(w.box, msg.uid, w.session)
		}
	}
	return nil
}

// command sends a command and believes the answer. It fails if the same is told twice, or EXPUNGE where it may not be.
func (w *writer) command(cmd string) (tagged string, err error) {
	w.n++
	tag := fmt.Sprintf("c%d ", w.n)
	w.send([]byte(tag + cmd + "\r\n"))
	for i := range w.messages {
		w.messages[i].fresh = false
	}
	told := map[string]bool{}
	for {
		line, err := w.line()
		if err != nil {
			return "", fmt.Errorf("%s: %q, %w", cmd, line, err)
		}
		if strings.HasPrefix(line, tag) {
			return line, nil
		}
		if err := w.take(line); err != nil {
			return "", fmt.Errorf("%s: %w", cmd, err)
		}
		switch {
		case strings.HasSuffix(line, " EXPUNGE"):
			if strings.HasPrefix(cmd, "FETCH") || strings.HasPrefix(cmd, "SEARCH") || strings.HasPrefix(cmd, "STORE") {
				return "", fmt.Errorf("%s: %q, which RFC 3501 §7.4.1 forbids", cmd, line)
			}
			clear(told)
		case strings.Contains(line, " FETCH "):
			if told[line] {
				return "", fmt.Errorf("%s: %q twice", cmd, line)
			}
			told[line] = true
		}
	}
}

// idle is told while it waits.
func (w *writer) idle() error {
	w.n++
	tag := fmt.Sprintf("c%d ", w.n)
	w.send([]byte(tag + "IDLE\r\n"))
	for {
		line, err := w.line()
		if err != nil || strings.HasPrefix(line, tag) {
			return err
		}
		if err := w.take(line); err != nil {
			return fmt.Errorf("IDLE: %w", err)
		}
		if line == "+ idling" {
			w.world.meddle()
			w.send([]byte("DONE\r\n"))
		}
	}
}

// must is command for one that can not fail.
func (w *writer) must(cmd string) error {
	tagged, err := w.command(cmd)
	if err == nil && !strings.Contains(tagged, " OK ") {
		err = fmt.Errorf("%s: %q", cmd, tagged)
	}
	return err
}

// choose selects a mailbox, or selects it anew.
func (w *writer) choose() error {
	verb := "SELECT"
	if w.examined = w.rnd.IntN(6) == 0; w.examined {
		verb = "EXAMINE"
	}
	w.box = []string{"INBOX", "Box"}[w.rnd.IntN(2)]
	w.session = fmt.Sprintf("%d.%d", w.id, w.n)
	w.messages, w.recent = nil, 0
	for {
		tagged, err := w.command(verb + " " + w.box)
		if err != nil {
			return err
		}
		if strings.Contains(tagged, " OK ") {
			break
		}
		w.world.srv.store.FailCall("Changes", nil)
	}
	return w.must("UID FETCH 1:* (FLAGS)")
}

// some returns a set of messages: text and the numbers in it.
func (w *writer) some(uid bool) (set string, which []int) {
	n := len(w.messages)
	for range 1 + w.rnd.IntN(3) {
		i := w.rnd.IntN(n)
		j := min(n-1, i+w.rnd.IntN(3))
		for ; i <= j; i++ {
			if uid && w.messages[i].uid == 0 || slices.Contains(which, i) {
				continue
			}
			which = append(which, i)
		}
	}
	var text []string
	for _, i := range which {
		n := i + 1
		if uid {
			n = w.messages[i].uid
		}
		text = append(text, strconv.Itoa(n))
	}
	return strings.Join(text, ","), which
}

var storable = []string{`\Seen`, `\Answered`, `\Flagged`, `\Draft`, `\Deleted`, "work", "$Later"}

// store sends a STORE and applies to what is believed what the client is not told of.
func (w *writer) store() error {
	uid := w.rnd.IntN(2) == 0
	set, which := w.some(uid)
	if set == "" {
		return nil
	}
	var flags []string
	for _, f := range storable {
		if w.rnd.IntN(3) == 0 {
			flags = append(flags, f)
		}
	}
	sign, silent, cond := []string{"", "+", "-"}[w.rnd.IntN(3)], []string{"", ".SILENT"}[w.rnd.IntN(2)], ""
	if w.rnd.IntN(5) == 0 {
		cond = fmt.Sprintf("(UNCHANGEDSINCE %d) ", w.rnd.IntN(400))
	}
	cmd := fmt.Sprintf("STORE %s %s%sFLAGS%s (%s)", set, cond, sign, silent, strings.Join(flags, " "))
	var uids []int // of the messages, since EXPUNGE may move them
	for _, i := range which {
		uids = append(uids, w.messages[i].uid)
	}
	if uid {
		cmd = "UID " + cmd
	}
	tagged, err := w.command(cmd)
	if err != nil {
		return err
	}
	if w.examined != strings.Contains(tagged, "[READ-ONLY]") {
		return fmt.Errorf("%s: %q, examined %t", cmd, tagged, w.examined)
	}
	if !strings.Contains(tagged, " OK ") {
		return nil
	}
	failed := map[int]bool{}
	if m := modified.FindStringSubmatch(tagged); m != nil {
		for _, part := range strings.Split(m[1], ",") {
			from, to, ok := strings.Cut(part, ":")
			if !ok {
				to = from
			}
			a, _ := strconv.Atoi(from)
			z, _ := strconv.Atoi(to)
			for ; a <= z; a++ {
				failed[a] = true
			}
		}
	}
	for k, i := range which {
		number := i + 1
		if uid {
			number = uids[k]
			i = slices.IndexFunc(w.messages, func(b belief) bool { return b.uid == number })
		}
		if i < 0 || failed[number] || w.messages[i].fresh {
			continue
		}
		if silent == "" && tagged[strings.Index(tagged, " OK"):] == " OK STORE completed." {
			return fmt.Errorf("%s: no FETCH of message %d: %q", cmd, number, tagged)
		}
		w.messages[i].store(sign, flags)
	}
	return nil
}

func (b *belief) store(sign string, flags []string) {
	if b.flags == nil {
		return
	}
	given := parseTold(strings.Join(flags, " "))
	switch sign {
	case "":
		if slices.Contains(b.flags, `\recent`) {
			given = append(given, `\recent`)
		}
		b.flags = given
	case "+":
		b.flags = append(slices.Clone(b.flags), given...)
	case "-":
		b.flags = slices.DeleteFunc(slices.Clone(b.flags), func(f string) bool { return slices.Contains(given, f) })
	}
	slices.Sort(b.flags)
	b.flags = slices.Compact(b.flags)
}

// step does one random thing.
func (w *writer) step() error {
	if len(w.messages) == 0 && w.rnd.IntN(2) == 0 {
		_, err := w.command("APPEND " + w.box + " (\\Flagged) {1+}\r\nx")
		return err
	}
	other := map[string]string{"INBOX": "Box", "Box": "INBOX"}[w.box]
	cmd := "NOOP"
	switch op := w.rnd.IntN(17); {
	case op == 0:
		return w.choose()
	case op == 16:
		return w.idle()
	case op == 1:
		cmd = "APPEND " + []string{w.box, other}[w.rnd.IntN(2)] + " (\\Seen work) {1+}\r\nx"
	case op == 2:
		cmd = "EXPUNGE"
	case len(w.messages) == 0:
	case op < 8:
		return w.store()
	case op < 12:
		uid := w.rnd.IntN(2) == 0
		set, _ := w.some(uid)
		if set == "" {
			return nil
		}
		cmd = []string{"COPY " + set + " " + other, "MOVE " + set + " " + other, "FETCH " + set + " (BODY[])", "FETCH " + set + " (UID FLAGS BODY[TEXT])",
			"COPY " + set + " " + w.box, "MOVE " + set + " " + w.box}[w.rnd.IntN(6)]
		if uid {
			cmd = "UID " + cmd
		}
	case op == 12:
		set, _ := w.some(true)
		if set == "" {
			return nil
		}
		cmd = "UID EXPUNGE " + set
	case op == 13:
		cmd = "UID FETCH 1:* (FLAGS)"
	case op == 14:
		cmd = "SEARCH RECENT"
	}
	_, err := w.command(cmd)
	return err
}

// check compares what is believed, when nothing happens any more, with the store.
func (w *writer) check() error {
	for range 2 {
		if err := w.must("NOOP"); err != nil {
			return err
		}
	}
	inbox := w.world.srv.store.Mailbox("demo", "", w.box)
	uids := inbox.UIDs()
	if len(uids) != len(w.messages) {
		return fmt.Errorf("%s: believes %d messages, there are %d", w.box, len(w.messages), len(uids))
	}
	recent := 0
	believed := slices.Clone(w.messages)
	if err := w.must("UID FETCH 1:* (FLAGS)"); err != nil {
		return err
	}
	for i, b := range w.messages {
		if b.uid != int(uids[i]) {
			return fmt.Errorf("%s: message %d is UID %d, not %d", w.box, i+1, uids[i], b.uid)
		}
		system, keywords, _ := inbox.Flags(goimap.UID(b.uid))
		var want []string
		for j, bit := range []uint8{backend.FlagSeen, backend.FlagAnswered, backend.FlagFlagged, backend.FlagDraft, backend.FlagDeleted} {
			if system&bit != 0 {
				want = append(want, storable[j])
			}
		}
		told := parseTold(strings.Join(append(want, keywords...), " "))
		if slices.Contains(b.flags, `\recent`) {
			recent++
			told = append(told, `\recent`)
			slices.Sort(told)
		}
		if !slices.Equal(b.flags, told) {
			return fmt.Errorf("%s: UID %d is told to have %q, has %q", w.box, b.uid, b.flags, told)
		}
		if k := believed[i].flags; k != nil && !w.examined && !slices.Equal(k, told) {
			return fmt.Errorf("%s: UID %d has %q, but was last told to have %q (session %s)", w.box, b.uid, told, k, w.session)
		}
	}
	if recent != w.recent {
		return fmt.Errorf("%s: %d RECENT, but %d messages are (examined %t)", w.box, w.recent, recent, w.examined)
	}
	return nil
}

// meddle does to the store what other programs and a bad day do.
func (w *world) meddle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	rnd := w.rnd
	if w.calm || rnd.IntN(2) == 0 {
		return
	}
	box := w.srv.store.Mailbox("demo", "", []string{"INBOX", "Box"}[rnd.IntN(2)])
	uids := box.UIDs()
	lost := backend.Errorf(backend.KindUnavailable, "")
	method := []string{"Store", "Copy", "Expunge", "Append", "Changes"}[rnd.IntN(5)]
	switch n := rnd.IntN(12); {
	case n < 2:
		box.Append("x", backend.FlagDraft, "their")
	case n < 4 && len(uids) > 0:
		box.Expunge(goimap.UID(uids[rnd.IntN(len(uids))]))
	case n < 6 && len(uids) > 0:
		box.SetFlags(goimap.UID(uids[rnd.IntN(len(uids))]), uint8(rnd.IntN(32)), "their")
	case n == 6:
		w.srv.store.WithoutChanged(rnd.IntN(2) == 0)
	case n == 7:
		w.srv.store.FailAnswer(method, lost)
	case n == 8:
		w.srv.store.FailCall(method, lost)
	case n == 9 && rnd.IntN(5) == 0:
		box.ForgetHistory()
	default:
		w.srv.store.FailCall(method, nil)
	}
	if rnd.IntN(2) == 0 {
		w.srv.poll()
	}
}

// settle ends meddling and what came of it, so that what is told can be compared with what is.
func (w *world) settle(calm bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.calm = calm; calm {
		for _, method := range []string{"Store", "Copy", "Expunge", "Append", "Changes"} {
			w.srv.store.FailCall(method, nil)
		}
		w.srv.poll()
	}
}

// TestWritersBelieveWhatIsTrue lets several clients change two mailboxes, while other programs do the same and
// calls fail, and compares what each of them has been told with what is there.
func TestWritersBelieveWhatIsTrue(t *testing.T) {
	for _, watches := range []bool{true, false} {
		t.Run(fmt.Sprintf("watches=%t", watches), func(t *testing.T) {
			t.Parallel()
			cfg := testConfig()
			cfg.Fetch.RetryDelay = 1
			srv := startServer(t, cfg, watches, func(s *mailboxtest.Store, _ *session.Config) { s.AllowWrites() })
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			world := &world{srv: srv, owner: map[string]string{}, rnd: rand.New(rand.NewPCG(seed, 99)), calm: true}
			srv.store.Before(func(string) { world.meddle() }) // in the middle of a command
			for _, name := range []string{"INBOX", "Box"} {
				m := srv.store.Create("demo", "", name)
				for range 10 {
					m.Append("x", 0)
				}
			}
			var writers []*writer
			for id := range 5 {
				w := &writer{conn: srv.dial(&script{t: t, file: fmt.Sprint("writer ", id)}), id: id, world: world, rnd: rand.New(rand.NewPCG(seed, uint64(id)))}
				writers = append(writers, w)
				if err := w.must("LOGIN demo secret"); err != nil {
					t.Fatal(err)
				}
				if id%2 == 1 {
					w.command("ENABLE CONDSTORE")
				}
				if err := w.choose(); err != nil {
					t.Fatal(err)
				}
			}
			for round := range 12 {
				world.settle(false)
				var wg sync.WaitGroup
				for _, w := range writers {
					wg.Add(1)
					go func() {
						defer wg.Done()
						for range 12 {
							world.meddle()
							if err := w.step(); err != nil {
								t.Errorf("round %d, writer %d, command %d: %v", round, w.id, w.n, err)
								return
							}
						}
					}()
				}
				wg.Wait()
				world.settle(true)
				for _, w := range writers {
					if err := w.check(); err != nil {
						t.Errorf("after round %d: writer %d: %v", round, w.id, err)
					}
				}
				if t.Failed() {
					return
				}
			}
		})
	}
}

package e2e

import (
	"bytes"
	"crypto/tls"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/cmd/internal/rig"
)

var seedFlag = flag.Uint64("seed", 0, "seed of random tests, as a failed one has logged it; 0 = by the time")

// seed returns the seed of a random test.
func seed() uint64 {
	if *seedFlag != 0 {
		return *seedFlag
	}
	return uint64(time.Now().UnixNano())
}

// TestRandomConversations holds the same random conversations with roost and Dovecot, each on its copy
// of one store, and wants the same answers. Commands are pipelined and cut anywhere into writes; strings come in
// every form.
func TestRandomConversations(t *testing.T) {
	dir, want := makeStore(t, variants[0])
	copied := filepath.Join(tempDir(t), "s")
	must(t, rig.CopyTree(dir, copied))
	d := startDovecot(t, rig.DovecotOptions{Home: filepath.Join(dir, "home")})
	r := startRoost(t, rig.RoostOptions{Home: filepath.Join(copied, "home"), Users: []string{storeUser}})
	var boxes []randomBox
	for _, m := range want.Mailboxes {
		boxes = append(boxes, randomBox{m.MUTF7, len(m.Mails)})
	}
	sort.Slice(boxes, func(i, j int) bool { return boxes[i].name < boxes[j].name })
	for _, seed := range []uint64{1, seed()} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			n := 0
			for i, way := range ways {
				c := &conversation{rng: rand.New(rand.NewPCG(seed, uint64(i))), boxes: boxes}
				n += c.hold(t, way, r, d)
			}
			t.Logf("%d commands", n)
		})
	}
}

// way is how a conversation reaches a server.
type way struct {
	name string
	dial func(plain, implicit string) (*rig.Client, error)
}

var ways = []way{
	{"plaintext", func(plain, _ string) (*rig.Client, error) { return rig.Dial(plain) }},
	{"TLS 1.3", func(_, implicit string) (*rig.Client, error) { return rig.DialTLS(implicit) }},
	{"STARTTLS 1.2", func(plain, _ string) (*rig.Client, error) { return dialStartTLS(plain, tls.VersionTLS12) }},
	{"STARTTLS 1.3", func(plain, _ string) (*rig.Client, error) { return dialStartTLS(plain, tls.VersionTLS13) }},
}

func dialStartTLS(addr string, version uint16) (*rig.Client, error) {
	c, err := rig.Dial(addr)
	if err == nil {
		err = c.StartTLS(version)
	}
	return c, err
}

// conversation makes random commands.
type conversation struct {
	rng      *rand.Rand
	boxes    []randomBox
	n        int       // commands made
	selected randomBox // name "": none
}

// randomBox is a mailbox to choose from.
type randomBox struct {
	name     string // in modified UTF-7
	messages int
}

// randomCommand is a command without its tag. waits are the positions in text where the client waits for
// a continuation request.
type randomCommand struct {
	text     []byte
	waits    []int
	selected string // mailbox that was selected before
}

// rounds is how many pipelines one conversation has.
const rounds = 12

// hold runs a conversation and returns how many commands it had.
func (c *conversation) hold(t *testing.T, way way, r *rig.Roost, d *rig.Dovecot) int {
	t.Helper()
	var clients [2]*rig.Client
	for i, addr := range [2][2]string{{r.Addr, r.TLSAddr}, {d.Addr, d.TLSAddr}} {
		cl, err := way.dial(addr[0], addr[1])
		must(t, err)
		defer cl.Close()
		cmd(t, cl, "LOGIN %s pass", storeUser)
		clients[i] = cl
	}
	for range rounds {
		cmds := make([]randomCommand, 1+c.rng.IntN(30))
		for i := range cmds {
			cmds[i] = c.command()
		}
		got, err := c.exchange(clients[0], cmds, true)
		if err != nil {
			t.Fatalf("%s: roost: %v\n%s", way.name, err, transcript(cmds))
		}
		// Dovecot answers pipelined commands in another order than they were sent in.
		want, err := c.exchange(clients[1], cmds, false)
		if err != nil {
			t.Fatalf("%s: Dovecot: %v\n%s", way.name, err, transcript(cmds))
		}
		for i := range cmds {
			g, w := canonical(t, got[i]), canonical(t, want[i])
			if g != w {
				g, w = differing(g, w)
				t.Errorf("%s: %q, %s selected\n got %s\nwant %s", way.name, cmds[i].text, cmds[i].selected, clip(g), clip(w))
			}
		}
	}
	return c.n
}

func transcript(cmds []randomCommand) string {
	var b strings.Builder
	for _, c := range cmds {
		fmt.Fprintf(&b, "%q\n", c.text)
	}
	return b.String()
}

// exchange sends cmds in pieces and returns the responses of each: the untagged ones and, last, the tagged one.
// Pipelined, a command does not wait for the answers of the one before.
func (c *conversation) exchange(cl *rig.Client, cmds []randomCommand, pipelined bool) ([][][]byte, error) {
	x := &exchange{c: c, cl: cl, cmds: cmds, answers: make([][][]byte, len(cmds))}
	for i := range cmds {
		if err := x.send(i); err != nil {
			return nil, err
		}
		if pipelined && i < len(cmds)-1 {
			continue
		}
		if err := x.flush(); err != nil {
			return nil, err
		}
		if _, err := x.read(i, false); err != nil {
			return nil, err
		}
	}
	return x.answers, nil
}

// exchange is a pipeline under way.
type exchange struct {
	c       *conversation
	cl      *rig.Client
	cmds    []randomCommand
	out     []byte     // to be sent
	next    int        // the command whose responses are read now
	answers [][][]byte // by command
}

// send collects command i, and waits at its synchronizing literals. One that is refused ends there.
func (x *exchange) send(i int) error {
	cmd, sent := x.cmds[i], 0
	x.out = append(x.out, tagOf(i)+" "...)
	for _, w := range cmd.waits {
		x.out = append(x.out, cmd.text[sent:w]...)
		sent = w
		if err := x.flush(); err != nil {
			return err
		}
		if goOn, err := x.read(i, true); !goOn {
			return err
		}
	}
	x.out = append(x.out, cmd.text[sent:]...)
	return nil
}

// flush sends what was collected in pieces.
func (x *exchange) flush() error {
	for len(x.out) > 0 {
		n := len(x.out)
		if x.c.rng.IntN(3) > 0 {
			n = 1 + x.c.rng.IntN(min(n, 200))
		}
		if err := x.cl.Send(x.out[:n]); err != nil {
			return err
		}
		x.out = x.out[n:]
	}
	return nil
}

// read reads up to the end of command i or, to wait for it, to a continuation request for it.
func (x *exchange) read(i int, wait bool) (goOn bool, err error) {
	for x.next <= i {
		r, err := x.cl.ReadResponse()
		if err != nil {
			return false, fmt.Errorf("%w, waiting for the answer of %q", err, x.cmds[x.next].text)
		}
		if bytes.HasPrefix(r, []byte("+")) {
			if wait && x.next == i {
				return true, nil
			}
			continue // of IDLE
		}
		x.answers[x.next] = append(x.answers[x.next], r)
		if bytes.HasPrefix(r, []byte(tagOf(x.next)+" ")) {
			x.next++
		}
	}
	return false, nil
}

func tagOf(i int) string { return "t" + strconv.Itoa(i) }

// canonical renders the responses of a command so that equal ones are equal.
func canonical(t *testing.T, lines [][]byte) string {
	t.Helper()
	var out []string
	for i, l := range lines {
		if bytes.HasPrefix(l, []byte("* OK [HIGHESTMODSEQ")) {
			continue // comes also when CONDSTORE is enabled, at another place, and then not with Dovecot's next EXAMINE
		}
		if isMailboxID(l) {
			continue
		}
		if i == len(lines)-1 || bytes.HasPrefix(l, []byte("* OK")) {
			// The text behind a status or a response code is free.
			w := strings.SplitN(string(l), " ", 3)
			code := ""
			if end := strings.IndexByte(w[2], ']'); w[2][0] == '[' && end > 0 && w[1] == "OK" {
				code = w[2][:end+1]
			}
			if code == "[CLIENTBUG]" { // Dovecot does not like STATUS of the selected mailbox
				code = ""
			}
			out = append(out, w[0]+" "+w[1]+" "+code)
			continue
		}
		if bytes.HasPrefix(l, []byte("* FLAGS")) && bytes.Contains(lines[0], []byte("SEARCH")) {
			continue // Dovecot adds every keyword that is searched for to the mailbox
		}
		v, err := rig.Parse(l)
		must(t, err)
		if len(v) > 3 && v[2].Str == "FETCH" {
			v[3] = sortedPairs(v[3])
		}
		if len(v) > 2 && v[2].List != nil {
			v[2].List = slices.DeleteFunc(v[2].List, func(a rig.Value) bool { return a.Str == `\Marked` || a.Str == `\UnMarked` })
			sort.Slice(v[2].List, func(a, b int) bool { return v[2].List[a].Str < v[2].List[b].Str })
		}
		out = append(out, rig.Value{List: v}.String())
	}
	if len(out) > 1 && (strings.HasPrefix(out[0], `("*" "LIST"`) || strings.HasPrefix(out[0], `("*" "LSUB"`)) {
		sort.Strings(out)
	}
	return strings.Join(out, "\n")
}

// differing returns the first lines in which two texts differ.
func differing(a, b string) (string, string) {
	as, bs := append(strings.Split(a, "\n"), "nothing"), append(strings.Split(b, "\n"), "nothing")
	i := 0
	for i < len(as)-1 && i < len(bs)-1 && as[i] == bs[i] {
		i++
	}
	return as[i], bs[i]
}

// sortedPairs sorts the items of a FETCH response, and the flags in it.
func sortedPairs(v rig.Value) rig.Value {
	var pairs []rig.Value
	for i := 0; i+1 < len(v.List); i += 2 {
		val := v.List[i+1]
		if v.List[i].Str == "FLAGS" {
			sort.Slice(val.List, func(a, b int) bool { return val.List[a].Str < val.List[b].Str })
		}
		pairs = append(pairs, rig.Value{List: []rig.Value{v.List[i], val}})
	}
	sort.Slice(pairs, func(a, b int) bool { return pairs[a].List[0].Str < pairs[b].List[0].Str })
	// Dovecot answers BODY[1] and BODY.PEEK[1] in one command one by one.
	pairs = slices.CompactFunc(pairs, func(a, b rig.Value) bool { return a.String() == b.String() })
	return rig.Value{List: pairs}
}

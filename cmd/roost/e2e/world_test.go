package e2e

import (
	"bytes"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/cmd/internal/rig"
	"github.com/roostmail/roost/core/message/messagetest"
)

var (
	worldSeed     = flag.Int64("world-seed", 0, "first seed of TestMessagesOfTheWorld; 0 = a fixed one, and one that nobody knows before")
	worldMessages = flag.Int("world-messages", 1000, "messages of each seed of TestMessagesOfTheWorld")
)

// worldItems are what both servers are asked for. BODY of a part that ends in a header without an empty line differs (package message).
var worldItems = []string{"RFC822.SIZE", "BODYSTRUCTURE", "BODY", "ENVELOPE", "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]", "BODY.PEEK[1.MIME]", "BODY.PEEK[1]", "BODY.PEEK[2.MIME]", "BODY.PEEK[2]",
	"BODY.PEEK[1.1.MIME]", "BODY.PEEK[1.1]", "BODY.PEEK[2.1.MIME]", "BODY.PEEK[1.HEADER]", "BODY.PEEK[1.TEXT]", "BODY.PEEK[2.HEADER]", "PREVIEW", "BODYSTRUCTURE"}

// TestMessagesOfTheWorld appends messages such as the world sends to both servers, and compares what they answer byte by byte. A difference is
// shown with the smallest message that has it. A message is known by its seed: go test -run World -world-seed N -world-messages 1.
func TestMessagesOfTheWorld(t *testing.T) {
	d := startDovecot(t, rig.DovecotOptions{})
	r := startRoost(t, rig.RoostOptions{Home: mailHome(t), Users: []string{storeUser}})
	w := &worlds{t: t, roost: login(t, r.Addr, storeUser), dovecot: login(t, d.Addr, storeUser)}
	seeds := []int64{1_000_000, time.Now().UnixNano() >> 8}
	if *worldSeed != 0 {
		seeds = []int64{*worldSeed}
	}
	for _, first := range seeds {
		t.Logf("%d messages from seed %d on", *worldMessages, first)
		for at := 0; at < *worldMessages && w.different < 5; at += 200 {
			var msgs [][]byte
			var names []string
			for i := at; i < min(at+200, *worldMessages); i++ {
				msgs = append(msgs, messagetest.World(first+int64(i)))
				names = append(names, fmt.Sprint("seed ", first+int64(i)))
			}
			w.compare(names, msgs)
		}
	}
}

// worlds are two servers, each with messages of its own.
type worlds struct {
	t              *testing.T
	roost, dovecot *rig.Client
	box            int
	different      int
}

// fill makes a mailbox of messages on both, and selects it.
func (w *worlds) fill(msgs [][]byte) {
	w.t.Helper()
	w.box++
	for _, c := range []*rig.Client{w.roost, w.dovecot} {
		cmd(w.t, c, "CREATE b%d", w.box)
		var b strings.Builder
		for _, m := range msgs {
			fmt.Fprintf(&b, " {%d+}\r\n%s", len(m), m)
		}
		cmd(w.t, c, "APPEND b%d%s", w.box, b.String())
		cmd(w.t, c, "EXAMINE b%d", w.box)
	}
}

// compare compares all items of messages.
func (w *worlds) compare(names []string, msgs [][]byte) {
	w.t.Helper()
	w.fill(msgs)
	found := map[int]string{}
	for _, item := range worldItems {
		got, want := w.fetch(w.roost, len(msgs), item), w.fetch(w.dovecot, len(msgs), item)
		for i := range msgs {
			if !bytes.Equal(got[i], want[i]) && found[i] == "" && !excused(item, msgs[i]) {
				found[i] = item
			}
		}
	}
	for i, item := range found {
		if w.different++; w.different > 5 {
			break
		}
		small := w.shrink(item, msgs[i])
		w.fill([][]byte{small})
		w.t.Errorf("%s, %s:\n  roost %s\nDovecot %s\nmessage %q", names[i], item, clip(fmt.Sprintf("%q", w.fetch(w.roost, 1, item)[0])), clip(fmt.Sprintf("%q", w.fetch(w.dovecot, 1, item)[0])), clip(string(small)))
	}
}

// fetch returns the FETCH responses of all n messages for one item.
func (w *worlds) fetch(c *rig.Client, n int, item string) [][]byte {
	w.t.Helper()
	answers := cmd(w.t, c, "FETCH 1:%d (%s)", n, item)
	out := make([][]byte, n)
	if item == "PREVIEW" { // may be a quoted string or a literal
		values, err := rig.FetchAnswers(answers)
		must(w.t, err)
		for seq, v := range values {
			out[seq-1] = []byte(v["PREVIEW"].String())
		}
		return out
	}
	for _, a := range answers {
		var seq int
		if _, err := fmt.Sscanf(string(a[:min(len(a), 20)]), "* %d FETCH", &seq); err == nil && seq <= n {
			out[seq-1] = a
		}
	}
	return out
}

// shrink returns the smallest message with which the servers differ, that is found by leaving out lines.
func (w *worlds) shrink(item string, msg []byte) []byte {
	lines := bytes.SplitAfter(msg, []byte("\n"))
	deadline := time.Now().Add(10 * time.Second)
	for size := len(lines) / 2; size >= 1; size /= 2 {
		for from := 0; from < len(lines) && time.Now().Before(deadline); {
			var tries [][]byte
			var rest [][][]byte
			for at := from; at < len(lines) && len(tries) < 40; at += size {
				r := append(append([][]byte{}, lines[:at]...), lines[min(at+size, len(lines)):]...)
				if m := bytes.Join(r, nil); len(m) > 0 {
					tries, rest = append(tries, m), append(rest, r)
				}
			}
			if len(tries) == 0 {
				break
			}
			w.fill(tries)
			got, want := w.fetch(w.roost, len(tries), item), w.fetch(w.dovecot, len(tries), item)
			hit := -1
			for i := range tries {
				if !bytes.Equal(got[i], want[i]) && !excused(item, tries[i]) {
					hit = i
					break
				}
			}
			if hit < 0 {
				from += size * len(tries)
				continue
			}
			from += size * hit
			lines = rest[hit]
		}
	}
	return bytes.Join(lines, nil)
}

// excused reports whether a difference is known: in the preview of what is no base64, or of base64 of what is no text, Dovecot may see the end of a character
// elsewhere (RFC 8970 §3.2: "previews are understood to be an approximation").
func excused(item string, msg []byte) bool {
	return item == "PREVIEW" && bytes.Contains(bytes.ToLower(msg), []byte("base64"))
}

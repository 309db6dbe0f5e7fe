package message

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/message/messagetest"
)

func TestNastyMessagesAgainstDovecot(t *testing.T) {
	d := startDovecot(t, "yes")
	var names []string
	var msgs [][]byte
	for _, n := range messagetest.Nasty() {
		names = append(names, n.Name)
		msgs = append(msgs, n.Text)
	}
	compare(t, d, names, msgs, rand.New(rand.NewSource(1)))
}

func TestTooManyPartsAgainstDovecot(t *testing.T) {
	d := startDovecot(t, "yes")
	flat := "Content-Type: multipart/mixed; boundary=b\n" + strings.Repeat("\n--b\n\nx", 10100) + "\n--b--\n"
	messages := "Content-Type: multipart/digest; boundary=b\n" + strings.Repeat("\n--b\n\nSubject: x\n\nx", 5100) + "\n--b--\n"
	d.replace([][]byte{messagetest.CRLF(flat), messagetest.CRLF(messages)})
	for i := range 2 {
		m := Parse(d.message(i+1), Limits{})
		if len(m.parts) != 10000 {
			t.Errorf("message %d: %d parts", i+1, len(m.parts))
		}
		got := fmt.Sprintf("* %d FETCH (BODYSTRUCTURE (%s))\r\n", i+1, m.AppendBodyStructure(nil, true))
		if want := string(d.cmd("FETCH %d BODYSTRUCTURE", i+1)); got != want {
			t.Errorf("message %d: %d bytes, want %d\n got …%q\nwant …%q", i+1, len(got), len(want), got[len(got)-300:], want[len(want)-300:])
		}
	}
}

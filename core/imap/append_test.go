package imap_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/mailbox/mailboxtest"
	"github.com/roostmail/roost/core/session"
)

// TestAppendKeepsEveryByte stores messages of many sizes, in memory and in files, alone and several at once, cut
// in pieces as they come, and reads them again.
func TestAppendKeepsEveryByte(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const alphabet = "abcdefghij{5}\r\n) \"\\\xe4"
	rnd := rand.New(rand.NewPCG(seed, 0))
	srv := startServer(t, testConfig(), true, func(store *mailboxtest.Store, engine *session.Config) {
		store.AllowWrites()
		engine.SpoolDir, engine.SpoolAbove = t.TempDir(), 1000
	})
	srv.store.Create("demo", "", "INBOX")
	c := srv.dial(&script{t: t})
	c.send([]byte("a LOGIN demo secret\r\n"))
	c.read()
	c.want("a OK …")
	uid := 0
	for _, sizes := range [][]int{{1}, {999}, {1000}, {1001}, {3 << 20}, {5, 100_000, 1000, 1001, 70_000, 2}, {300_000, 300_000}} {
		for _, sync := range []string{"", "+"} {
			var messages [][]byte
			first := uid + 1
			for _, n := range sizes {
				m := make([]byte, n)
				for i := range m {
					m[i] = alphabet[rnd.IntN(len(alphabet))]
				}
				messages = append(messages, m)
				uid++
			}
			send := func(p []byte) {
				for len(p) > 0 {
					n := min(1+rnd.IntN(50_000), len(p))
					c.send(p[:n])
					p = p[n:]
				}
			}
			var all bytes.Buffer
			all.WriteString("b APPEND INBOX")
			for i, m := range messages {
				fmt.Fprintf(&all, " (\\Seen k%d) {%d%s}\r\n", i, len(m), sync)
				if sync == "" {
					send(all.Bytes())
					all.Reset()
					c.want("+ OK")
				}
				all.Write(m)
			}
			all.WriteString("\r\nc NOOP\r\n")
			send(all.Bytes())
			set := fmt.Sprint(first)
			if len(sizes) > 1 {
				set = fmt.Sprintf("%d:%d", first, uid)
			}
			c.want("b OK [APPENDUID 1001 " + set + "] APPEND completed.")
			c.want("c OK …")
			c.send([]byte("d EXAMINE INBOX\r\n"))
			for !strings.HasPrefix(c.read(), "d OK") {
			}
			for i, m := range messages {
				c.send([]byte(fmt.Sprintf("e UID FETCH %d BODY.PEEK[]\r\n", first+i)))
				c.want(fmt.Sprintf("* %d FETCH (UID %d BODY[] {%d}", first+i, first+i, len(m)))
				got := make([]byte, len(m))
				if _, err := io.ReadFull(c.r, got); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, m) {
					t.Fatalf("message %d of %v is another one", i, sizes)
				}
				c.want(")")
				c.want("e OK …")
			}
			c.send([]byte("f UNSELECT\r\n"))
			c.want("f OK …")
		}
	}
	if st := srv.engine.Stats(); st.Spools != 0 || st.SpoolBytes != 0 {
		t.Errorf("%+v", st)
	}
}

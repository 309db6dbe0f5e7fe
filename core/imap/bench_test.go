package imap_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/roostmail/roost/core/mailbox/mailboxtest"
	"github.com/roostmail/roost/core/session"
)

// BenchmarkCommand measures small commands over loopback, client included, on a mailbox of 1,000 messages.
func BenchmarkCommand(b *testing.B) {
	do := benchClient(b, 1000)
	for _, cmd := range []string{"NOOP", "CAPABILITY", "STATUS INBOX (MESSAGES)", "LIST \"\" *", "FETCH 1 FLAGS", "FETCH 1:* FLAGS", "SELECT INBOX"} {
		b.Run(fmt.Sprintf("%q", cmd), func(b *testing.B) {
			b.ReportAllocs()
			line := []byte("a " + cmd + "\r\n")
			for b.Loop() {
				do(line)
			}
		})
	}
}

// BenchmarkStore measures the change of one message's flags, which must not cost more in a larger mailbox.
func BenchmarkStore(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		for _, cmd := range []string{"STORE 500 FLAGS (%s)", "STORE 500 FLAGS.SILENT (%s)", "UID STORE 500 FLAGS (%s)"} {
			b.Run(fmt.Sprintf("messages=%d/%q", n, cmd), func(b *testing.B) {
				do := benchClient(b, n)
				b.ReportAllocs()
				flags := []string{"\\Seen", "\\Flagged"}
				for i := 0; b.Loop(); i++ {
					do(fmt.Appendf(nil, "a "+cmd+"\r\n", flags[i%2]))
				}
			})
		}
	}
}

// benchClient returns what sends a command and waits for its answer, with a mailbox of n messages selected.
func benchClient(b *testing.B, n int) (do func(cmd []byte)) {
	srv := startServer(b, testConfig(), true, func(store *mailboxtest.Store, _ *session.Config) { store.AllowWrites() })
	inbox := srv.store.Create("demo", "", "INBOX")
	for range n {
		inbox.Append("x", 0)
	}
	c, err := net.Dial("tcp", srv.addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	buf := make([]byte, 1<<20)
	do = func(cmd []byte) {
		if _, err := c.Write(cmd); err != nil {
			b.Fatal(err)
		}
		for n := 0; ; {
			k, err := c.Read(buf[n:])
			if err != nil {
				b.Fatal(err)
			}
			n += k
			text := string(buf[max(0, n-200):n])
			if strings.HasSuffix(text, "\r\n") && strings.HasPrefix(text[strings.LastIndex(text[:len(text)-2], "\n")+1:], "a ") {
				return
			}
		}
	}
	do([]byte("a LOGIN demo secret\r\n"))
	do([]byte("a SELECT INBOX\r\n"))
	return do
}

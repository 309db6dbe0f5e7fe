package imap_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// BenchmarkCommand measures small commands over loopback, client included, on a mailbox of 1,000 messages.
func BenchmarkCommand(b *testing.B) {
	srv := startServer(b, testConfig(), true)
	inbox := srv.store.Create("demo", "", "INBOX")
	for range 1000 {
		inbox.Append("x", 0)
	}
	c, err := net.Dial("tcp", srv.addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 1<<20)
	do := func(cmd []byte) {
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

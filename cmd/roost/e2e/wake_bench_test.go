package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/roostmail/roost/cmd/internal/rig"
)

// BenchmarkWake is a command that needs the view of its mailbox, which sleeps and which storage has closed too, with all processes: each
// mailbox is parked at once after its command. cpu-us/op is the processor's time of all processes of roost, without that of the client.
func BenchmarkWake(b *testing.B) {
	const users = 64
	dir, remove, err := rig.Dir("roost-e2e-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(remove)
	mail := filepath.Join(dir, "mail")
	if err := errors.Join(os.Mkdir(mail, 0o755), os.Chown(mail, rig.MailUID, rig.MailUID)); err != nil {
		b.Fatal(err)
	}
	var names []string
	for i := range users {
		names = append(names, fmt.Sprintf("u%d", i))
	}
	r, err := rig.StartRoost(rig.RoostOptions{Binary: roostBinary, Dir: filepath.Join(dir, "roost"), Home: filepath.Join(mail, "%u"), Users: names,
		Storage: "options.mail_fsync = \"never\"\noptions.max_open_mailboxes = 1\noptions.max_open_stores = 1", Extra: "[limits]\nmailbox_warm = \"0s\""})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.Stop() })
	clients := make([]*rig.Client, users)
	for i, u := range names {
		c, err := rig.Login(r.Addr, u)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		for _, command := range []string{"APPEND INBOX {21+}\r\nSubject: one\r\n\r\ntext\r\n", "SELECT INBOX"} {
			if _, err := c.Cmd("%s", command); err != nil {
				b.Fatal(err)
			}
		}
		clients[i] = c
	}
	for _, n := range []int{1, 10} {
		b.Run(fmt.Sprintf("clients=%d", n), func(b *testing.B) {
			cpu := rig.CPUSeconds(r.PID())
			var wg sync.WaitGroup
			b.ResetTimer()
			for who := range n {
				wg.Go(func() {
					for i := who; i < b.N; i += n { // each client has sessions of its own, and goes on to the next one each time
						if _, err := clients[(i/n*n+who)%(users/n*n)].Cmd("FETCH 1 (FLAGS)"); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric((rig.CPUSeconds(r.PID())-cpu)*1e6/float64(b.N), "cpu-us/op")
		})
	}
}

package mailbox_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/roostmail/roost/core/backend"
	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/mailbox/mailboxtest"
)

// BenchmarkOpenMailboxes opens many small mailboxes and reports what each costs while it is open.
func BenchmarkOpenMailboxes(b *testing.B) {
	for _, messages := range []int{0, 100} {
		b.Run(fmt.Sprintf("messages=%d", messages), func(b *testing.B) {
			store := mailboxtest.New(true)
			const n = 5000
			for i := range n {
				m := store.Create("u", "", fmt.Sprint(i))
				for range messages {
					m.Append("", backend.FlagSeen)
				}
			}
			for b.Loop() {
				r := newRegistry(mailbox.Config{JournalBytes: 1 << 20}, store, func(uint32) {}, discard())
				before := heap()
				user := &backend.User{Name: "u"}
				for i := range n {
					if _, _, err := r.Open(context.Background(), backend.MailboxRef{User: user, Name: fmt.Sprint(i)}); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(heap()-before)/n, "B/mailbox")
				r.Close()
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

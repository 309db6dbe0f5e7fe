package hibernate

import (
	"log/slog"
	"testing"
	"time"

	"github.com/roostmail/roost/core/mailbox"
	"github.com/roostmail/roost/core/mailbox/mailboxtest"
)

// BenchmarkLookAtRest is a look at a server where nothing is warm: what there is to pay once in an interval.
func BenchmarkLookAtRest(b *testing.B) {
	r, err := mailbox.NewRegistry(mailbox.Config{Warm: time.Hour}, mailboxtest.New(true), func(uint32) {}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	g := newGovernor(Config{Policy: &policy{}, Warm: 5 * time.Second, Interval: time.Second, Timeout: time.Second, Batch: 4096, Memory: 1 << 40, Queue: 100}, r,
		func() Sample {
			m, gcs := MemoryInUse()
			return Sample{Memory: m, GCs: gcs}
		}, slog.New(slog.DiscardHandler))
	defer g.Close()
	for b.Loop() {
		g.step(time.Now())
	}
}

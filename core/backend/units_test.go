package backend_test

import (
	"testing"
	"time"

	"github.com/roostmail/roost/core/backend"
)

func TestUnits(t *testing.T) {
	for s, want := range map[string]time.Duration{"5s": 5 * time.Second, "1m30s": 90 * time.Second, "2d": 48 * time.Hour, "5 mins": 5 * time.Minute,
		"1 hour": time.Hour, "10 msecs": 10 * time.Millisecond, "0": 0, "3 weeks": 21 * 24 * time.Hour, "5 m": 5 * time.Minute, "7 min": 7 * time.Minute, "5 mi": 5 * time.Minute, "5 Mins": 5 * time.Minute, "5 ms": 5 * time.Millisecond, "5 milli": 5 * time.Millisecond} {
		if got, err := backend.ParseDuration(s); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "5", "-1s", "5 apples", "99999999999w", "s"} {
		if got, err := backend.ParseDuration(s); err == nil {
			t.Errorf("%q: %v", s, got)
		}
	}
	for s, want := range map[string]int64{"0": 0, "512": 512, "64k": 65536, "10M": 10 << 20, "1 GB": 1 << 30, "2T": 2 << 40, "5B": 5} {
		if got, err := backend.ParseSize(s); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "k", "-1", "1.5M", "99999999T", "5 apples"} {
		if got, err := backend.ParseSize(s); err == nil {
			t.Errorf("%q: %d", s, got)
		}
	}
}

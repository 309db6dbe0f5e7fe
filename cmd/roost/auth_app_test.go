package main

import (
	"testing"
	"time"
)

// TestAppPasswordLastsWholeDays: a password for a day is good for 24 hours, also if it is made in the evening.
func TestAppPasswordLastsWholeDays(t *testing.T) {
	evening := time.Date(2026, 3, 4, 23, 50, 0, 0, time.UTC)
	for expires, want := range map[string]string{"1d": "2026-03-05T23:50:00Z", "90d": "2026-06-02T23:50:00Z", "": "", "2030-12-31": "2030-12-31"} {
		if got, err := afterDays(expires, evening); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", expires, got, err, want)
		}
	}
	for _, expires := range []string{"d", "0d", "-1d", "1.5d", "5dd", "1000000d"} {
		if got, err := afterDays(expires, evening); err == nil {
			t.Errorf("%q: %q", expires, got)
		}
	}
}

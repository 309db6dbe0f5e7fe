package imap

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/roostmail/roost/core/session"
)

func TestLoginRateIsOfOneSecond(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	a := newAttempts(func() time.Time { return now })
	for range 3 {
		for i := range 5 {
			if got := a.begin(1, 3); got != (i < 3) {
				t.Fatalf("login %d: %v", i, got)
			}
		}
		if !a.begin(2, 3) {
			t.Fatal("another address is held responsible")
		}
		now = now.Add(time.Second)
	}
}

func TestFailuresGrowAndAreForgotten(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	a := newAttempts(func() time.Time { return now })
	want := func(key uint64, n int) {
		t.Helper()
		if got := a.fail(key); got != n {
			t.Fatalf("failure %d, want %d", got, n)
		}
	}
	want(1, 1)
	want(1, 2)
	want(2, 1)
	now = now.Add(forgetFailures)
	want(1, 3)
	a.succeed(1)
	want(1, 1)
	want(2, 2)
	now = now.Add(forgetFailures + time.Second)
	want(2, 1)
	a.succeed(99) // never seen
}

func TestPenalty(t *testing.T) {
	for n, want := range []time.Duration{0, 2, 4, 8, 15, 15} {
		if got := penalty(n, 2*time.Second, 15*time.Second); n > 0 && got != want*time.Second {
			t.Errorf("failure %d: %v, want %ds", n, got, want)
		}
	}
	if got := penalty(1<<30, 0, 15*time.Second); got != 0 {
		t.Errorf("without a delay: %v", got)
	}
	if got := penalty(1<<30, time.Minute, 15*time.Second); got != time.Minute {
		t.Errorf("with a first delay above the largest: %v", got)
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	a := newAttempts(func() time.Time { return now })
	for key := range uint64(600_000) {
		if key%1000 == 0 {
			now = now.Add(time.Second)
		}
		a.fail(key)
	}
	entries, old := 0, 0
	for i := range a.shards {
		if n := len(a.shards[i].sets); n > attemptSets {
			t.Fatalf("%d sets", n)
		}
		for _, set := range a.shards[i].sets {
			for _, e := range set {
				if entries++; e.key < 100_000 {
					old++
				}
			}
		}
	}
	if entries > 65536 || old > 0 {
		t.Errorf("%d entries, %d of them old", entries, old)
	}
}

// TestFailuresOfAUser: one who is tried from everywhere is answered as late as one who is tried from one address; a right password of another address
// changes nothing.
func TestFailuresOfAUser(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	clock := func() time.Time { return now }
	srv := &Server{cfg: Config{AuthFailureDelay: time.Second, MaxFailureDelay: 8 * time.Second}, doors: doors{attempts: newAttempts(clock), users: newAttempts(clock)}}
	for i, want := range []time.Duration{1, 2, 4, 8, 8} {
		from := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		name := "jane"
		if i%2 == 1 {
			name = "JANE"
		}
		if got := srv.penalty(from, name); got != want*time.Second {
			t.Errorf("failure %d: %v", i, got)
		}
		srv.doors.attempts.succeed(session.AddressKey(from))
	}
	from := netip.MustParseAddr("192.0.2.99")
	for i, user := range []string{"joe", "", "mary"} {
		if got := srv.penalty(from, user); got != time.Second<<i { // the address's own
			t.Errorf("%q: %v", user, got)
		}
	}
	now = now.Add(forgetFailures + time.Second)
	if got := srv.penalty(from, "jane"); got != time.Second {
		t.Errorf("after an hour: %v", got)
	}
}

func TestSASLUserName(t *testing.T) {
	for _, c := range [][3]string{
		{"SCRAM-SHA-256", "n,,n=jane,r=abc", "jane"},
		{"SCRAM-SHA-1-PLUS", "p=tls-exporter,a=joe,n=j=2Ca=3Dne,r=abc", "j,a=ne"},
		{"SCRAM-SHA-256", "c=biws,r=abc,p=xyz,n=jane", ""},
		{"SCRAM-SHA-256", "n,,", ""},
		{"SCRAM-SHA-256", "n,,n=" + strings.Repeat("x", 256) + ",r=abc", ""},
		{"CRAM-MD5", "j a n e 0123", "j a n e"},
		{"CRAM-MD5", "0123", ""},
		{"OAUTHBEARER", "n,a=jane,\x01auth=Bearer x\x01\x01", ""},
		{"EXTERNAL", "jane", ""},
	} {
		if got := saslUserName(c[0], []byte(c[1])); got != c[2] {
			t.Errorf("%s, %q: %q", c[0], c[1], got)
		}
	}
}
